/**
 * The composition root: builds everything in order and ends it in reverse. Nothing else in the project knows how the
 * parts are put together.
 */

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import {
  type Agent,
  checkCanarySettings,
  createAgent,
  EventLog,
  openEventJournal,
  openModeFile,
  publishErasure,
  trialFile,
} from '../src/agent/index.js';
import { HoneError } from '../src/errors.js';
import {
  checkLearnerSettings,
  checkOffered,
  checkTrainable,
  type LearnerSettings,
  type LearnerSupervisor,
  startLearner,
} from '../src/learner/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../src/package/index.js';
import {
  defaultMaxStalledMs,
  openPolicy,
  type Policy,
  type PolicyVersion,
  type ThreadChoice,
} from '../src/policy/index.js';
import { type EvictionReport, openReplayStore } from '../src/replay/index.js';
import { checkRewardSettings, type RewardSettings } from '../src/reward/index.js';
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
import { openGate } from './gate.js';
import { packageFolder } from './grpc/contract.js';
import { openDoor } from './grpc/door.js';
import { defaultKvMemory } from './kv-memory.js';
import { createServerMetrics, type MetricsListener, type ServerMetrics } from './metrics/index.js';
import type { ServerOptions } from './options.js';
import { openRaters } from './raters.js';
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
  /** Ends everything, in order: health says so, running requests finish, the learner writes its checkpoint. Idempotent. */
  close(): Promise<void>;
}

/** Told once when the server cannot go on and its process should end, to be started again. */
export type OnFatal = (error: HoneError) => void;

/**
 * Builds the server; where a part fails, those before it are ended again.
 * @throws HoneError `DATA_DIRECTORY_LOCKED`, `PACKAGE_INVALID`, `STORE_CORRUPT`, `INVALID_OPTIONS` and what else the
 * parts say when they open
 */
export async function startServer(options: ServerOptions, log: Logger, onFatal: OnFatal): Promise<RunningServer> {
  const endings: (() => unknown)[] = [];
  const close = async () => {
    for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end();
  };
  try {
    return await build(options, log, onFatal, endings, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(
  options: ServerOptions,
  log: Logger,
  onFatal: OnFatal,
  endings: (() => unknown)[],
  close: () => Promise<void>,
): Promise<RunningServer> {
  const cores = availableParallelism();
  // What the learner's threads are is known only when the policy's are; the rest is checked before anything is opened.
  const asked = checkLearnerSettings(options.learnerSettings);
  const { engine, device } = asked;
  if (options.learner && engine === 'onnx') checkOffered(device);
  const reward = checkRewardSettings(options.rewardSettings);
  const canary = checkCanarySettings(options.canarySettings);
  const data = openDataDirectory(options.dataDirectory);
  endings.push(() => data.close());
  const modes = await openModeFile(data.modePath, options.mode);
  const pkg = await loadPackage(options.packageDirectory);
  const decoder = await readDecoder(pkg.modelPath);
  // A learner that could not start would crash again and again while the server serves.
  if (options.learner) checkTrainable(decoder, pkg.modelPath, asked);
  const choice = await chooseServingThreads(pkg, data.threadsPath, cores, options, log);
  const settings = checkLearnerSettings({ threads: Math.max(1, cores - choice.threads), ...options.learnerSettings });
  const journal = openEventJournal(data.eventsPath, eventsKept, (err) => log.warn({ err }, 'event not written'));
  const events = new EventLog({ capacity: eventsKept, journal, now: Date.now });
  const versions = await openVersions(pkg, findLinears(decoder), settings, options, data, events);
  endings.push(() => versions.close());
  if (options.learner) checkAdapterRank(await versions.readAdapter(versions.live().number), settings, options);
  const replay = await openReplayStore({
    path: data.replayPath,
    ...options.retention,
    onCrash: onFatal,
    onEvicted: (report) => events.publish({ type: 'replay_evicted', numbers: evictionNumbers(report) }),
    onErased: (report) => publishErasure(events, report, descendants(versions.list(), report.versions).length),
  });
  endings.push(() => replay.close());
  for (const { code, message } of versions.warnings) {
    log.warn({ code }, message);
    events.publish({ type: 'version_rejected', detail: `${code}: ${message}` });
  }
  const metrics = options.metrics === null ? null : createServerMetrics(options.metrics);
  const policy = await openLivePolicy(pkg, versions, options, choice, events, onFatal, metrics);
  endings.push(() => policy.close());
  const learner = options.learner ? startLearnerFor(pkg, versions, data, settings, reward) : null;
  endings.push(() => learner?.close());
  const rated = await openRaters(options.raters, reward, data);
  endings.push(() => rated.close());
  const { holdoutShare } = settings;
  const store = { replay, replayPath: data.replayPath };
  const gate =
    options.gate === null
      ? null
      : await openGate({
          settings: options.gate,
          pkg,
          policy,
          versions,
          ...store,
          rewards: reward,
          rewardModel: rated.rewardModel,
          holdoutShare,
        });
  endings.push(() => gate?.close());
  const agent = createAgent({
    pkg,
    policy,
    replay,
    versions,
    learner,
    reward,
    raters: rated.raters,
    training: settings,
    events,
    servesAdapters: needsAdapters(options, versions),
    exploration: options.exploration,
    modes,
    canary,
    trials: trialFile(data.trialPath),
    ...(gate === null ? {} : { judge: gate.judge }),
    ...(options.learner ? { maxImportRank: settings.rank } : {}),
    ...(metrics === null ? {} : { meter: metrics.meter }),
    maxOpenRequests: options.maxOpenRequests,
    drainGraceMs: options.drainGraceMs,
  });
  // Whoever watches sees the server stop.
  let page: MetricsListener | null = null;
  endings.push(() => page?.close());
  endings.push(() => agent.close());
  logEvents(agent, log);
  if (metrics !== null) {
    const threads = { policy: choice.threads, learner: options.learner ? settings.threads : 0 };
    page = await metrics.open({ agent, policy, replay, threads, log });
  }
  const door = await openDoor({
    agent,
    host: options.host,
    port: options.port,
    authToken: options.authToken,
    maxStalledMs: options.policy.maxStalledMs ?? defaultMaxStalledMs,
    reflection: options.reflection,
    serverVersion: readServerVersion(),
    onCall: (call) => log.debug(call, 'call'),
    report: (path, err) => log.error({ path, code: err.code, err }, 'call failed'),
  });
  // No new calls from now on; the agent ends those that run, and the door then has only their last answers to send.
  endings.push(() => door.close(agent.close()));
  endings.push(() => door.announceStop());
  const record: ServerRecord = {
    pid: process.pid,
    host: options.host,
    port: door.port,
    address: `${options.host.includes(':') ? `[${options.host}]` : options.host}:${door.port}`,
    metrics: page?.url ?? null,
    startedAtMs: Date.now(),
  };
  data.writeRecord(record);
  return { record, agent, packageName: pkg.name, threads: choice.threads, spin: choice.spin, close };
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

async function openLivePolicy(
  pkg: Package,
  versions: VersionLog,
  options: ServerOptions,
  { threads, spin }: ThreadChoice,
  events: EventLog,
  onFatal: OnFatal,
  metrics: ServerMetrics | null,
): Promise<Policy> {
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
    threads,
    spin,
    onFailed: onFatal,
    observer: metrics?.observer,
    onRestart: (error) => {
      metrics?.workerRestarted();
      events.publish({ type: 'worker_restarted', detail: `inference worker: ${error.message}` });
    },
  });
}

function startLearnerFor(
  pkg: Package,
  versions: VersionLog,
  data: DataDirectory,
  settings: LearnerSettings,
  reward: RewardSettings,
): LearnerSupervisor {
  const { number, origin, adapterDigest } = versions.live();
  return startLearner({
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

/** What changes is worth a line each; the learner's figures are for those who watch. */
async function logEvents(agent: Agent, log: Logger): Promise<void> {
  try {
    for await (const events of agent.watchEvents({})) {
      for (const { type, atMs: _, ...event } of events) {
        if (/^(worker_restarted|store_failed|version_rejected|learner_setback|rater_failed)$/.test(type))
          log.warn(event, type);
        else if (/^(learner_engine_opened|(version|canary|shadow|mode)_.*)$/.test(type)) log.info(event, type);
        else log.debug(event, type);
      }
    }
  } catch (thrown) {
    const err = HoneError.from(thrown);
    if (err.code !== 'DRAINING') log.error({ err }, 'events are no longer logged');
  }
}

function readServerVersion(): string {
  return (JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }).version;
}
