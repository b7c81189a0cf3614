/**
 * The composition root: builds everything in order and ends it in reverse. Nothing else in the project knows how the
 * parts are put together.
 *
 * What takes long and is not this thread's work begins first: the store's worker reads and checks its file, the inference
 * worker loads its code, while this thread reads the package. Code that only calls need (`services.ts`) is loaded while the
 * inference worker makes its session. The learner's process starts when the server serves.
 */

import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { publishErasure } from '../src/agent/erasure.js';
import { openEventJournal } from '../src/agent/events/event-journal.js';
import { EventLog } from '../src/agent/events/event-log.js';
import type { Agent } from '../src/agent/index.js';
import { checkCanarySettings } from '../src/agent/rollout/canary-settings.js';
import { openModeFile } from '../src/agent/rollout/modes.js';
import { HoneError } from '../src/errors.js';
import { createLearner, type LearnerSupervisor } from '../src/learner/process/supervisor.js';
import { checkLearnerSettings } from '../src/learner/settings.js';
import type { LearnerSettings } from '../src/learner/types.js';
import { openPackage } from '../src/package/load.js';
import { findLinears } from '../src/package/lowering.js';
import type { Package } from '../src/package/types.js';
import { openPolicy, type Policy, type PolicyVersion, type ThreadChoice, WorkerHandle } from '../src/policy/index.js';
import type { ErasureReport, EvictionReport, ReplayStore } from '../src/replay/index.js';
import { openReplayStore } from '../src/replay/store.js';
import { checkRewardSettings, type RewardSettings } from '../src/reward/settings.js';
import {
  type Adapter,
  type AdapterTarget,
  descendants,
  descendsFromImport,
  openVersionLog,
  type Version,
  type VersionLog,
  zeroAdapter,
} from '../src/versions/index.js';
import { type DataDirectory, openDataDirectory, type ServerRecord } from './data-directory.js';
import { Endings } from './endings.js';
import { defaultKvMemory } from './kv-memory.js';
import type { ServerMetrics } from './metrics/index.js';
import type { ServerOptions } from './options.js';
import { chooseServingThreads } from './threads.js';

const eventsKept = 1000;

/** A server that takes calls. */
export interface RunningServer {
  readonly record: ServerRecord;
  readonly agent: Agent;
  readonly packageName: string;
  /** Threads of the policy, and whether idle ones spin. */
  readonly threads: number;
  readonly spin: boolean;
  /**
   * Ends everything, in order: health says so, running requests finish, the learner writes its checkpoint. No process
   * that the server has started is left when it resolves. Idempotent.
   */
  close(): Promise<void>;
}

/** Who counts what the policy tells; nobody until the metrics are there, and no request runs before. */
export interface Counting {
  metrics: ServerMetrics | null;
}

/** Told once when the server cannot go on and its process should end, to be started again. */
export type OnFatal = (error: HoneError) => void;

/**
 * Builds the server; where a part fails, those before it are ended again.
 * @param signal stops it on the way: what is open by then is ended
 * @throws HoneError `DATA_DIRECTORY_LOCKED`, `PACKAGE_INVALID`, `STORE_CORRUPT`, `INVALID_OPTIONS` and what else the
 * parts say when they open; `CANCELLED` where it was stopped
 */
export async function startServer(
  options: ServerOptions,
  log: Logger,
  onFatal: OnFatal,
  signal: AbortSignal,
): Promise<RunningServer> {
  const endings = new Endings(signal);
  try {
    return await build(options, log, onFatal, endings, signal);
  } catch (error) {
    await endings.run();
    throw error;
  }
}

async function build(
  options: ServerOptions,
  log: Logger,
  onFatal: OnFatal,
  endings: Endings,
  signal: AbortSignal,
): Promise<RunningServer> {
  const cores = availableParallelism();
  // What the learner's threads are is known only when the policy's are; the rest is checked before anything is opened.
  const asked = checkLearnerSettings(options.learnerSettings);
  await checkDevice(options, asked);
  const reward = checkRewardSettings(options.rewardSettings);
  const canary = checkCanarySettings(options.canarySettings);
  const data = openDataDirectory(options.dataDirectory);
  endings.add(() => data.close());
  const journal = openEventJournal(data.eventsPath, eventsKept, (err) => log.warn({ err }, 'event not written'));
  const events = new EventLog({ capacity: eventsKept, journal, now: Date.now });
  const worker = new WorkerHandle();
  endings.add(() => worker.close());
  const store = beginStore(options, data, events, onFatal);
  endings.add(() => store.close());
  const modes = await openModeFile(data.modePath, options.mode);
  const { pkg, linears } = await endings.open(readPackage(options, asked));
  // What is measured is what serving will be like: nothing else of this process may compute meanwhile.
  const calm = () => Promise.allSettled([store.opening, worker.loaded]);
  const choice = await endings.open(chooseServingThreads(pkg, data.threadsPath, cores, options, log, calm, signal));
  const settings = checkLearnerSettings({ threads: Math.max(1, cores - choice.threads), ...options.learnerSettings });
  const opening = openVersions(pkg, linears, settings, options, data, events);
  const versions = await endings.open(opening, (one) => one.close());
  if (options.learner) checkAdapterRank(await versions.readAdapter(versions.live().number), settings, options);
  const replay = await endings.open(store.opening);
  for (const report of store.erasures) {
    publishErasure(events, report, descendants(versions.list(), report.versions).length);
  }
  for (const { code, message } of versions.warnings) {
    log.warn({ code }, message);
    events.publish({ type: 'version_rejected', detail: `${code}: ${message}` });
  }
  const counting: Counting = { metrics: null };
  const [{ openServices }, policy] = await Promise.all([
    import('./services.js'),
    endings.open(openLivePolicy({ pkg, versions, options, choice, events, onFatal, counting, worker }), (one) =>
      one.close(),
    ),
  ]);
  const learner = options.learner ? createLearnerFor(pkg, versions, data, settings, reward) : null;
  endings.add(() => learner?.close());
  const { agent, door, metricsUrl } = await openServices(
    {
      options,
      log,
      data,
      events,
      modes,
      pkg,
      choice,
      versions,
      replay,
      policy,
      learner,
      settings,
      reward,
      canary,
      counting,
      servesAdapters: needsAdapters(options, versions),
    },
    endings,
    signal,
  );
  const record: ServerRecord = {
    pid: process.pid,
    host: options.host,
    port: door.port,
    address: `${options.host.includes(':') ? `[${options.host}]` : options.host}:${door.port}`,
    metrics: metricsUrl,
    startedAtMs: Date.now(),
  };
  data.writeRecord(record);
  // Whoever waits for the server hears of it first.
  setImmediate(() => {
    learner?.start();
    void counting.metrics?.load();
  });
  return {
    record,
    agent,
    packageName: pkg.name,
    threads: choice.threads,
    spin: choice.spin,
    close: () => endings.run(),
  };
}

/**
 * The package and its linear layers; the decoder itself, whose weights may be in memory, is let go.
 * @throws HoneError for a package that cannot be served, or not be learned from where a learner is on
 */
async function readPackage(
  { packageDirectory, learner }: ServerOptions,
  settings: LearnerSettings,
): Promise<{ pkg: Package; linears: readonly AdapterTarget[] }> {
  const { pkg, decoder } = await openPackage(packageDirectory);
  if (learner) {
    // A learner that could not start would crash again and again while the server serves.
    const { checkTrainable } = await import('../src/learner/engine/check-trainable.js');
    await checkTrainable(decoder, pkg.modelPath, settings);
  }
  return { pkg, linears: findLinears(decoder) };
}

/** A device that was named has to be one of this build's; loading its providers is only worth it then. */
async function checkDevice({ learner }: ServerOptions, { engine, device }: LearnerSettings): Promise<void> {
  if (!learner || engine !== 'onnx' || device === 'auto' || device === 'cpu') return;
  const { checkOffered } = await import('../src/learner/index.js');
  checkOffered(device);
}

/** The store while its worker opens it, and the erasures that a crash had cut off and that it completed. */
interface StoreBeginning {
  readonly opening: Promise<ReplayStore>;
  /** Complete once it is open. */
  readonly erasures: readonly ErasureReport[];
  close(): Promise<void>;
}

function beginStore(
  { retention }: ServerOptions,
  { replayPath }: DataDirectory,
  events: EventLog,
  onCrash: OnFatal,
): StoreBeginning {
  const erasures: ErasureReport[] = [];
  const opening = openReplayStore({
    path: replayPath,
    ...retention,
    onCrash,
    onEvicted: (report) => events.publish({ type: 'replay_evicted', numbers: evictionNumbers(report) }),
    onErased: (report) => erasures.push(report),
  });
  const opened = opening.catch(() => null);
  return { opening, erasures, close: async () => (await opened)?.close() };
}

async function openVersions(
  pkg: Package,
  linears: readonly AdapterTarget[],
  settings: LearnerSettings,
  { keepVersions }: ServerOptions,
  data: DataDirectory,
  events: EventLog,
): Promise<VersionLog> {
  return openVersionLog({
    directory: data.versionsPath,
    packageDigest: pkg.digest,
    zeroAdapter: zeroAdapter(linears, settings.rank, settings.scale),
    ...(keepVersions === undefined ? {} : { keepVersions }),
    onRemoved: ({ numbers, bytes }) =>
      events.publish({
        type: 'adapters_removed',
        detail: `adapters of the versions ${numbers.join(', ')} were removed to make room`,
        numbers: { versions: numbers.length, bytes },
      }),
  });
}

/** A learner goes on from adapters up to its own rank, whatever their scale. */
function checkAdapterRank({ rank }: Adapter, settings: LearnerSettings, { dataDirectory }: ServerOptions): void {
  if (rank <= settings.rank) return;
  throw new HoneError(
    'INVALID_OPTIONS',
    `the live version in ${dataDirectory} has an adapter of rank ${rank}, the learner is set to rank ${settings.rank} and could not go on from it: use --rank ${rank}, or another --data`,
  );
}

/** Where nothing but the zero adapter can come to serve, steps do without adapters, which is faster. */
function needsAdapters({ learner, adapters }: ServerOptions, versions: VersionLog): boolean {
  const { packageDigest: ours } = versions.live();
  const others = versions.list().filter(({ origin, packageDigest }) => origin !== 'base' && packageDigest === ours);
  return learner || adapters || others.some(({ number }) => versions.adapterPath(number) !== null);
}

interface PolicyParts {
  readonly pkg: Package;
  readonly versions: VersionLog;
  readonly options: ServerOptions;
  readonly choice: ThreadChoice;
  readonly events: EventLog;
  readonly onFatal: OnFatal;
  readonly counting: Counting;
  readonly worker: WorkerHandle;
}

async function openLivePolicy(parts: PolicyParts): Promise<Policy> {
  const { pkg, versions, options, choice, events, onFatal, counting, worker } = parts;
  const read = async ({ number, adapterDigest }: Version): Promise<PolicyVersion> => ({
    number,
    adapterDigest,
    adapter: await versions.readAdapter(number),
  });
  const live = versions.live();
  // The first version stays servable: what was learned is measured against it.
  const base = versions.list().find(({ origin, packageDigest }) => origin === 'base' && packageDigest === pkg.digest);
  const held = base === undefined || base.number === live.number ? [] : [await read(base)];
  return openPolicy({
    pkg,
    version: await read(live),
    held,
    ...options.policy,
    adapters: needsAdapters(options, versions),
    kvMemoryBytes: options.policy.kvMemoryBytes ?? defaultKvMemory(pkg.config, process.availableMemory()),
    threads: choice.threads,
    spin: choice.spin,
    worker,
    onFailed: onFatal,
    observer: {
      onStarted: (report) => counting.metrics?.observer.onStarted?.(report),
      onTurn: (report) => counting.metrics?.observer.onTurn?.(report),
      onSwap: (report) => counting.metrics?.observer.onSwap?.(report),
    },
    onRestart: (error) => {
      counting.metrics?.workerRestarted();
      events.publish({ type: 'worker_restarted', detail: `inference worker: ${error.message}` });
    },
  });
}

function createLearnerFor(
  pkg: Package,
  versions: VersionLog,
  data: DataDirectory,
  settings: LearnerSettings,
  reward: RewardSettings,
): LearnerSupervisor {
  const { number, origin, adapterDigest } = versions.live();
  return createLearner({
    packageDirectory: pkg.directory,
    packageDigest: pkg.digest,
    replayPath: data.replayPath,
    directory: data.learnerPath,
    settings,
    reward,
    liveVersion: number,
    adapterPath: versions.adapterPath(number),
    adapterDigest,
    rolledBack: origin === 'rollback',
    imported: descendsFromImport(versions.list(), number),
  });
}

function evictionNumbers(report: EvictionReport): Record<string, number> {
  const { generations, scores, preferences, prompts, byAge, unfinished, unscored, oldest, usedBytes, durationMs } =
    report;
  const reasons = { by_age: byAge, unfinished, unscored, oldest };
  return { generations, scores, preferences, prompts, ...reasons, used_bytes: usedBytes, duration_ms: durationMs };
}
