/**
 * What calls meet: metrics, raters, gate, agent and doors, over what `start.ts` has opened. A module of its own because most
 * of the server's code comes with it, which is loaded while the inference worker gets ready.
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
  trialFile,
} from '../src/agent/index.js';
import type { LearnerSettings, LearnerSupervisor } from '../src/learner/index.js';
import type { Package } from '../src/package/index.js';
import { defaultMaxStalledMs, type Policy, type ThreadChoice } from '../src/policy/index.js';
import type { ReplayStore } from '../src/replay/index.js';
import type { RewardSettings } from '../src/reward/index.js';
import type { VersionLog } from '../src/versions/index.js';
import type { Endings } from './endings.js';
import { type Door, openDoor } from './grpc/door.js';
import type { FinishedCall } from './grpc/interceptor.js';
import { createServerMetrics, type MetricsListener } from './metrics/index.js';
import type { ServerOptions } from './options.js';
import { packageFolder } from './package-folder.js';
import type { DataDirectory } from './parts/data-directory.js';
import { logEvents } from './parts/event-lines.js';
import { openGate } from './parts/gate.js';
import type { Counting } from './parts/policy.js';
import { openRaters } from './parts/raters.js';

/** What the services stand on; whoever opened it closes it after them. */
export interface Ground {
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
  /** `null`: none; it need not run yet. */
  readonly learner: LearnerSupervisor | null;
  readonly settings: LearnerSettings;
  readonly reward: RewardSettings;
  readonly canary: CanarySettings;
  readonly counting: Counting;
  /** Whether the policy has room for adapters. */
  readonly servesAdapters: boolean;
}

/** Services that take calls. */
export interface Services {
  readonly agent: Agent;
  readonly door: Door;
  /** Where the metrics are; `null`: nowhere. */
  readonly metricsUrl: string | null;
}

/**
 * Opens them, the doors last.
 * @param endings what ends each of them is added as soon as there is something to end; the last of them is to be called first
 * @throws HoneError what raters, gate, metrics and doors say when they open
 */
export async function openServices(ground: Ground, endings: Endings, signal: AbortSignal): Promise<Services> {
  const { options, log, data, events, modes, pkg, choice, versions, replay, policy, learner, settings, reward } =
    ground;
  const metrics = options.metrics === null ? null : createServerMetrics(options.metrics);
  ground.counting.metrics = metrics;
  const rated = await endings.open(openRaters(options.raters, reward, data, signal), (raters) => raters.close());
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
  endings.add(() => gate?.close());
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
    servesAdapters: ground.servesAdapters,
    exploration: options.exploration,
    modes,
    canary: ground.canary,
    trials: trialFile(data.trialPath),
    ...(gate === null ? {} : { judge: gate.judge }),
    ...(options.learner ? { maxImportRank: settings.rank } : {}),
    ...(metrics === null ? {} : { meter: metrics.meter }),
    maxOpenRequests: options.maxOpenRequests,
    drainGraceMs: options.drainGraceMs,
  });
  // Whoever watches sees the server stop.
  let page: MetricsListener | null = null;
  endings.add(() => page?.close());
  endings.add(() => agent.close());
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
    libraryLog: options.libraryLog,
    onCall: logCalls(log),
    report: (path, err) => log.error({ path, code: err.code, err }, 'call failed'),
  });
  // No new calls from now on; the agent ends those that run, and the door then has only their last answers to send.
  endings.add(() => door.close(agent.close()));
  endings.add(() => door.announceStop());
  return { agent, door, metricsUrl: page?.url ?? null };
}

/** A line for every call at `debug`; at `info` one for the first that was answered with a completion. */
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
  return (JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }).version;
}
