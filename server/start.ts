/**
 * The composition root: opens all parts of the server in order and closes them in reverse. Each file of `parts/` opens
 * one part, and only this file knows how the parts fit together.
 *
 * Slow work of other threads begins first: the store's worker reads and checks its file, and the inference worker loads
 * its code, while this thread reads the package. The code that only calls need (`services.ts`) is loaded while the
 * inference worker creates its session. The learner's process starts when the server takes calls.
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
import { CleanupStack } from './cleanup-stack.js';
import type { Door } from './grpc/door.js';
import type { ServerOptions } from './options.js';
import { openDataDirectory, type ServerRecord } from './parts/data-directory.js';
import { checkDevice, createLearnerProcess } from './parts/learner.js';
import { readPackage } from './parts/package.js';
import { type MetricsSlot, type OnFatal, openLivePolicy } from './parts/policy.js';
import { openStoreInBackground } from './parts/store.js';
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
   * Stops the server: health reports it, running requests finish, the learner writes its checkpoint, and all parts
   * close. When it resolves, no process that the server started is left. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Starts the server. If a part fails to open, the parts that are open are closed.
 * @param signal stops the start; the parts that are open are closed
 * @throws HoneError `DATA_DIRECTORY_LOCKED`, `PACKAGE_INVALID`, `STORE_CORRUPT`, `INVALID_OPTIONS` and other errors of
 * parts when they open; `CANCELLED` if the signal aborted
 */
export async function startServer(
  options: ServerOptions,
  log: Logger,
  onFatal: OnFatal,
  signal: AbortSignal,
): Promise<RunningServer> {
  const cleanup = new CleanupStack(signal);
  try {
    return await build(options, log, onFatal, cleanup, signal);
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

async function build(
  options: ServerOptions,
  log: Logger,
  onFatal: OnFatal,
  cleanup: CleanupStack,
  signal: AbortSignal,
): Promise<RunningServer> {
  const cores = availableParallelism();
  // Settings are checked before anything is opened. The learner's threads depend on the policy's, which are chosen
  // below.
  const asked = checkLearnerSettings(options.learnerSettings);
  await checkDevice(options, asked);
  const reward = checkRewardSettings(options.rewardSettings);
  const canary = checkCanarySettings(options.canarySettings);

  const data = openDataDirectory(options.dataDirectory);
  cleanup.add(() => data.close());
  const journal = openEventJournal(data.eventsPath, eventsKept, (err) => log.warn({ err }, 'event not written'));
  const events = new EventLog({ capacity: eventsKept, journal, now: Date.now });
  const worker = new WorkerHandle();
  cleanup.add(() => worker.close());
  const store = openStoreInBackground(options, data, events, onFatal);
  cleanup.add(() => store.close());
  const modes = await openModeFile(data.modePath, options.mode);
  const { pkg, linears } = await cleanup.open(readPackage(options, asked));

  // Nothing else of this process may compute during the measurement, because nothing else does while the server serves.
  const calm = () => Promise.allSettled([store.opening, worker.loaded]);
  const choice = await cleanup.open(chooseServingThreads(pkg, data.threadsPath, cores, options, log, calm, signal));
  const settings = checkLearnerSettings({ threads: Math.max(1, cores - choice.threads), ...options.learnerSettings });
  const opening = openVersions(pkg, linears, settings, options, data, events);
  const versions = await cleanup.open(opening, (one) => one.close());
  if (options.learner) checkAdapterRank(await versions.readAdapter(versions.live().number), settings, options);
  const replay = await cleanup.open(store.opening);
  reportOpening(store.erasures, versions, events, log);

  const metricsSlot: MetricsSlot = { metrics: null };
  const [{ openServices }, policy] = await Promise.all([
    import('./services.js'),
    cleanup.open(openLivePolicy({ pkg, versions, options, choice, events, onFatal, metricsSlot, worker }), (one) =>
      one.close(),
    ),
  ]);
  const learner = options.learner ? createLearnerProcess(pkg, versions, data, settings, reward) : null;
  cleanup.add(() => learner?.close());
  const opened = { options, log, data, events, modes, pkg, choice, versions, replay, policy, learner, metricsSlot };
  const servesAdapters = needsAdapters(options, versions);
  const { agent, door, metricsUrl } = await openServices(
    { ...opened, settings, reward, canary, servesAdapters },
    cleanup,
    signal,
  );
  const record = recordOf(options, door, metricsUrl);
  data.writeRecord(record);
  // The process that waits for this server gets its message first.
  setImmediate(() => {
    learner?.start();
    void metricsSlot.metrics?.load();
  });
  const { threads, spin } = choice;
  return { record, agent, packageName: pkg.name, threads, spin, close: () => cleanup.run() };
}

/** Publishes what the store and the version log found when they were opened. */
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
