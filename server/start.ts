/**
 * The composition root: builds everything in order and ends it in reverse. `parts/` opens one part each; nothing else in
 * the project knows how they are put together.
 *
 * Slow work that is not this thread's begins first: the store's worker reads and checks its file and the inference worker
 * loads its code while this thread reads the package. Code that only calls need (`services.ts`) is loaded while the
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
import { checkLearnerSettings } from '../src/learner/settings.js';
import { WorkerHandle } from '../src/policy/index.js';
import type { ErasureReport } from '../src/replay/index.js';
import { checkRewardSettings } from '../src/reward/settings.js';
import { descendants, type VersionLog } from '../src/versions/index.js';
import { Endings } from './endings.js';
import type { Door } from './grpc/door.js';
import type { ServerOptions } from './options.js';
import { openDataDirectory, type ServerRecord } from './parts/data-directory.js';
import { checkDevice, createLearnerFor } from './parts/learner.js';
import { readPackage } from './parts/package.js';
import { type Counting, type OnFatal, openLivePolicy } from './parts/policy.js';
import { beginStore } from './parts/store.js';
import { chooseServingThreads } from './parts/threads.js';
import { checkAdapterRank, needsAdapters, openVersions } from './parts/versions.js';

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
   * Ends everything, in order: health reports it, running requests finish, the learner writes its checkpoint. No process
   * that the server has started is left when it resolves. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Builds the server; if a part fails, those before it are ended again.
 * @param signal stops it on the way: what is open by then is ended
 * @throws HoneError `DATA_DIRECTORY_LOCKED`, `PACKAGE_INVALID`, `STORE_CORRUPT`, `INVALID_OPTIONS` and what else the
 * parts throw when they open; `CANCELLED` if it was stopped
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
  // The learner's threads follow from the policy's, which are chosen below; the rest is checked before anything is opened.
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

  // The measurement should see the machine as it is when serving: nothing else of this process may compute meanwhile.
  const calm = () => Promise.allSettled([store.opening, worker.loaded]);
  const choice = await endings.open(chooseServingThreads(pkg, data.threadsPath, cores, options, log, calm, signal));
  const settings = checkLearnerSettings({ threads: Math.max(1, cores - choice.threads), ...options.learnerSettings });
  const opening = openVersions(pkg, linears, settings, options, data, events);
  const versions = await endings.open(opening, (one) => one.close());
  if (options.learner) checkAdapterRank(await versions.readAdapter(versions.live().number), settings, options);
  const replay = await endings.open(store.opening);
  reportOpening(store.erasures, versions, events, log);

  const counting: Counting = { metrics: null };
  const [{ openServices }, policy] = await Promise.all([
    import('./services.js'),
    endings.open(openLivePolicy({ pkg, versions, options, choice, events, onFatal, counting, worker }), (one) =>
      one.close(),
    ),
  ]);
  const learner = options.learner ? createLearnerFor(pkg, versions, data, settings, reward) : null;
  endings.add(() => learner?.close());
  const opened = { options, log, data, events, modes, pkg, choice, versions, replay, policy, learner, counting };
  const servesAdapters = needsAdapters(options, versions);
  const { agent, door, metricsUrl } = await openServices(
    { ...opened, settings, reward, canary, servesAdapters },
    endings,
    signal,
  );
  const record = recordOf(options, door, metricsUrl);
  data.writeRecord(record);
  // Callers that wait for the server hear of it first.
  setImmediate(() => {
    learner?.start();
    void counting.metrics?.load();
  });
  const { threads, spin } = choice;
  return { record, agent, packageName: pkg.name, threads, spin, close: () => endings.run() };
}

/** Publishes what opening the store and the version log brought to light. */
function reportOpening(erasures: readonly ErasureReport[], versions: VersionLog, events: EventLog, log: Logger): void {
  for (const report of erasures) {
    publishErasure(events, report, descendants(versions.list(), report.versions).length);
  }
  for (const { code, message } of versions.warnings) {
    log.warn({ code }, message);
    events.publish({ type: 'version_failed', detail: `a version cannot serve again: ${code}: ${message}` });
  }
}

function recordOf({ host }: ServerOptions, { port }: Door, metrics: string | null): ServerRecord {
  return {
    pid: process.pid,
    host,
    port,
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    metrics,
    startedAtMs: Date.now(),
  };
}
