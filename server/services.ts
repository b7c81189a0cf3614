/**
 * Opens the services: metrics, raters, gate, agent and doors, on the parts that `start.ts` has opened. It is a file of
 * its own because it imports most of the server's code, which is loaded while the inference worker starts.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import {
  type Agent,
  type CanarySettings,
  createAgent,
  type EventLog,
  type ModeKeeper,
  type TrialStore,
  trialFile,
} from '../src/agent/index.js';
import type { LearnerSettings, LearnerSupervisor } from '../src/learner/index.js';
import { ThreadedEncoding } from '../src/package/encoding/text-encoding.js';
import type { Package } from '../src/package/index.js';
import { defaultMaxStalledMs, type Policy, type ThreadChoice } from '../src/policy/index.js';
import type { ReplayStore } from '../src/replay/index.js';
import type { RewardSettings } from '../src/reward/index.js';
import type { VersionLog } from '../src/versions/index.js';
import type { CleanupStack } from './cleanup-stack.js';
import { type Door, openDoor } from './grpc/door.js';
import type { FinishedCall } from './grpc/interceptor.js';
import { installationFolder } from './installation-folder.js';
import { createServerMetrics, type MetricsListener } from './metrics/index.js';
import type { ServerOptions } from './options.js';
import type { DataDirectory } from './parts/data-directory.js';
import { logEvents } from './parts/event-lines.js';
import { openGate } from './parts/gate.js';
import type { MetricsSlot } from './parts/policy.js';
import { openRaters } from './parts/raters.js';

/** The parts that the services need. `start.ts` opens them and closes them after the services. */
interface OpenedParts {
  readonly options: ServerOptions;
  readonly log: Logger;
  readonly data: DataDirectory;
  readonly events: EventLog;
  readonly modes: ModeKeeper;
  readonly pkg: Package;
  readonly choice: ThreadChoice;
  readonly versions: VersionLog;
  readonly replay: ReplayStore;
  readonly policy: Policy;
  /** `null`: there is none. Its process may not be running yet. */
  readonly learner: LearnerSupervisor | null;
  readonly settings: LearnerSettings;
  readonly reward: RewardSettings;
  readonly canary: CanarySettings;
  readonly metricsSlot: MetricsSlot;
  /** Whether the policy has room for adapters. */
  readonly servesAdapters: boolean;
}

/** Services that take calls. */
interface Services {
  readonly agent: Agent;
  readonly door: Door;
  /** URL of the metrics; `null`: there are none. */
  readonly metricsUrl: string | null;
}

/**
 * Opens the services, the doors last.
 * @param cleanup gets a step for each service as soon as the service is open
 * @throws HoneError the errors of raters, gate, metrics and doors when they open
 */
export async function openServices(parts: OpenedParts, cleanup: CleanupStack, signal: AbortSignal): Promise<Services> {
  const { options, log, data, events, modes, pkg, choice, versions, replay, policy, learner, settings, reward } = parts;
  const metrics = options.metrics === null ? null : createServerMetrics(options.metrics);
  parts.metricsSlot.metrics = metrics;
  const rated = await cleanup.open(openRaters(options.raters, reward, data, signal), (raters) => raters.close());
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
  cleanup.add(() => gate?.close());
  const encoding = new ThreadedEncoding(pkg);
  cleanup.add(() => encoding.close());
  const agent = createAgent({
    pkg,
    encoding,
    policy,
    replay,
    versions,
    learner,
    reward,
    raters: rated.raters,
    training: settings,
    events,
    servesAdapters: parts.servesAdapters,
    exploration: options.exploration,
    modes,
    canary: parts.canary,
    trials: whileInPlace(data, trialFile(data.trialPath)),
    ...(gate === null ? {} : { judge: gate.judge, gatePace: gate.pace }),
    ...(options.learner ? { maxImportRank: settings.rank } : {}),
    ...(metrics === null ? {} : { meter: metrics.meter }),
    maxOpenRequests: options.maxOpenRequests,
    drainGraceMs: options.drainGraceMs,
  });
  // The page closes after the agent, so that a metrics scraper can see the server stop.
  let page: MetricsListener | null = null;
  cleanup.add(() => page?.close());
  cleanup.add(() => agent.close());
  logEvents(agent, log);
  // No caller may get an answer of weights that learned from data whose erasure was cut off.
  await agent.settleErasures();
  if (metrics !== null) {
    const threads = { policy: choice.threads, learner: options.learner ? settings.threads : 0 };
    page = await metrics.open({ agent, policy, replay, threads, log });
  }
  const door = await openDoor({
    agent,
    host: options.host,
    port: options.port,
    authToken: options.authToken,
    maxConnections: options.maxConnections,
    keepaliveMs: options.keepaliveMs,
    maxStalledMs: options.policy.maxStalledMs ?? defaultMaxStalledMs,
    reflection: options.reflection,
    serverVersion: readServerVersion(),
    libraryLog: options.libraryLog,
    onCall: logCalls(log),
    report: (path, err) => log.error({ path, code: err.code, err }, 'call failed'),
  });
  // The agent refuses new requests while it closes and ends the running ones. The door sends their last answers.
  cleanup.add(() => door.close(agent.close()));
  cleanup.add(() => door.announceStop());
  return { agent, door, metricsUrl: page?.url ?? null };
}

/** Keeps the trial's file from being written into another folder that has taken the place of the data directory. */
function whileInPlace(data: DataDirectory, trials: TrialStore): TrialStore {
  return {
    read: trials.read,
    write: async (trial) => {
      if (data.isInPlace()) await trials.write(trial);
    },
  };
}

/** Logs every call at `debug`, and at `info` the first call that was answered with a completion. */
function logCalls(log: Logger): (call: FinishedCall) => void {
  let waits = true;
  return (call) => {
    log.debug(call, 'call');
    if (!waits || call.code !== status.OK || !/\.GenerationService\/(Stream)?Generate$/.test(call.path)) return;
    waits = false;
    log.info({ path: call.path, durationMs: call.durationMs }, 'first request');
  };
}

function readServerVersion(): string {
  return (JSON.parse(readFileSync(join(installationFolder, 'package.json'), 'utf8')) as { version: string }).version;
}
