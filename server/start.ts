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
import { openEventJournal } from '../src/agent/events/event-journal.js';
import { EventLog } from '../src/agent/events/event-log.js';
import type { Agent } from '../src/agent/index.js';
import { checkCanarySettings } from '../src/agent/rollout/canary-settings.js';
import { openModeFile } from '../src/agent/rollout/modes.js';
import { HoneError } from '../src/errors.js';
import { checkLearnerSettings } from '../src/learner/settings.js';
import { WorkerHandle } from '../src/policy/index.js';
import type { ReplayStore } from '../src/replay/index.js';
import { checkRewardSettings } from '../src/reward/settings.js';
import type { VersionLog } from '../src/versions/index.js';
import { CleanupStack } from './cleanup-stack.js';
import type { Door } from './grpc/door.js';
import type { ServerOptions } from './options.js';
import { type DataDirectory, openDataDirectory, type ServerRecord } from './parts/data-directory.js';
import { DirectoryRecord } from './parts/directory-record.js';
import { checkDevice, createLearnerProcess } from './parts/learner.js';
import {
  checkStoreIsThere,
  hadMode,
  knownVersions,
  lastChangeOf,
  lastModeIn,
  reportLostFiles,
  reportOlderStore,
} from './parts/lost-state.js';
import { readPackage } from './parts/package.js';
import { type MetricsSlot, type OnFatal, openLivePolicy } from './parts/policy.js';
import { SpareRoom } from './parts/spare-room.js';
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

  const data = await cleanup.open(openDataDirectory(options.dataDirectory), (one) => one.close());
  data.watch(onFatal);
  const { record: held, events, journal, onRebuilt } = openState(data, log);
  cleanup.add(() => events.close());
  checkStoreIsThere(data, held, options, journal.lastSequence, onRebuilt);
  reportLostFiles(data, held, onRebuilt);
  const worker = new WorkerHandle();
  cleanup.add(() => worker.close());
  const spare = new SpareRoom(data.path);
  const store = openStoreInBackground(options, data, events, onFatal, spare);
  // A record that outlives the store, which takes its log with it when it closes, would look like a kill that lost the log.
  cleanup.add(() => data.removeRecord());
  cleanup.add(() => store.close());
  const modes = await cleanup.open(
    openModeFile(data.modePath, {
      given: options.mode,
      copy: { mode: held.held.mode, write: (mode) => held.update({ mode }) },
      isUsed: hadMode(data, held),
      lastNamed: lastModeIn(journal.restored),
      onRebuilt,
    }),
  );
  const { pkg, linears } = await cleanup.open(readPackage(options, asked, log, signal));

  // Nothing else of this process may compute during the measurement, because nothing else does while the server serves.
  const calm = () => Promise.allSettled([store.opening, worker.loaded]);
  const choice = await cleanup.open(chooseServingThreads(pkg, data.threadsPath, cores, options, log, calm, signal));
  const settings = checkLearnerSettings({ threads: Math.max(1, cores - choice.threads), ...options.learnerSettings });
  // The store comes first: a version log without a store is a loss.
  const replay = await cleanup.open(store.opening);
  await reportOlderStore(held, options, replay, onRebuilt);
  const known = await knownVersions(held, journal.restored, replay);
  const opening = openVersions(pkg, linears, settings, options, data, events, known, onRebuilt);
  const versions = await cleanup.open(opening, (one) => one.close());
  // From here on nothing is missing that the record knows. A start that was refused leaves the record as it is.
  await keepRecord(held, versions, events, replay, log);
  spare.keep();
  cleanup.add(() => (data.isInPlace() ? keepRecord(held, versions, events, replay, log) : undefined));
  if (options.learner) checkAdapterRank(await versions.readAdapter(versions.live().number), settings, options);
  reportOpening(versions, events, log);

  const metricsSlot: MetricsSlot = { metrics: null };
  const [{ openServices }, policy] = await Promise.all([
    import('./services.js'),
    cleanup.open(openLivePolicy({ pkg, versions, options, choice, events, onFatal, metricsSlot, worker }), (one) =>
      one.close(),
    ),
  ]);
  const learner = options.learner ? createLearnerProcess(pkg, versions, data, settings, reward) : null;
  cleanup.add(() => learner?.close());
  const storage = cleanup.length;
  const opened = { options, log, data, events, modes, pkg, choice, versions, replay, policy, learner, metricsSlot };
  const servesAdapters = needsAdapters(options, versions);
  const { agent, door, metricsUrl } = await openServices(
    { ...opened, settings, reward, canary, servesAdapters },
    cleanup,
    signal,
  );
  const record = recordOf(options, door, metricsUrl);
  try {
    data.writeRecord(record);
  } catch (thrown) {
    // The server serves all the same; only tools that look for it do not find it.
    log.warn({ err: HoneError.from(thrown) }, 'server.json is not written');
  }
  // The process that waits for this server gets its message first.
  setImmediate(() => {
    learner?.start();
    void metricsSlot.metrics?.load();
  });
  const { threads, spin } = choice;
  const close = async () => {
    if (data.isInPlace()) return cleanup.run();
    // The paths lead to another folder now, whose files may be another server's. What was acknowledged is on disk, so only
    // what serves is closed, and the files are left to the end of the process.
    await learner?.abandon();
    return cleanup.run(storage);
  };
  return { record, agent, packageName: pkg.name, threads, spin, close };
}

/** The record of the directory, and the events, which report what is rebuilt. */
function openState(data: DataDirectory, log: Logger) {
  const before: string[] = [];
  const record = DirectoryRecord.open(data.path, (what) => before.push(what));
  const onError = (err: HoneError) => log.warn({ err }, 'event not written');
  const journal = openEventJournal(data.eventsPath, eventsKept, onError, {
    onRebuilt: (what) => before.push(what),
    given: record.held.lastEvent,
  });
  const events = new EventLog({ capacity: eventsKept, journal, now: Date.now });
  const onRebuilt = (what: string): void => {
    log.warn(what);
    events.publish({ type: 'state_rebuilt', detail: what });
  };
  for (const what of before) onRebuilt(what);
  return { record, journal, events, onRebuilt };
}

/** Writes the record of the directory. A disk without room keeps it from that, but not from serving. */
async function keepRecord(
  record: DirectoryRecord,
  { nextNumber: nextVersion }: VersionLog,
  { lastSequence: lastEvent }: EventLog,
  replay: ReplayStore,
  log: Logger,
): Promise<void> {
  // A store that is damaged may not be able to tell.
  const lastChange = await lastChangeOf(replay).catch(() => record.held.lastChange);
  try {
    await record.recordAll({ nextVersion, lastEvent, lastChange });
  } catch (thrown) {
    log.warn({ err: HoneError.from(thrown) }, 'the record of the data directory is not written');
  }
}

/** Publishes what the version log found when it was opened. */
function reportOpening(versions: VersionLog, events: EventLog, log: Logger): void {
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
