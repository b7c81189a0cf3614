/** The parts and settings that an agent is made of. */

import type { GatePace } from '../gate/index.js';
import type { TrainingRules } from '../learner/index.js';
import type { Package, TextEncoding } from '../package/index.js';
import type { Policy } from '../policy/index.js';
import type { ReplayStore } from '../replay/index.js';
import type { RewardSettings } from '../reward/index.js';
import type { VersionLog } from '../versions/index.js';
import type { EventLog } from './events/event-log.js';
import type { RaterOptions } from './feedback/background-rater.js';
import type { ExplorationSettings } from './generation/exploration.js';
import type { Learner } from './learner.js';
import type { Meter } from './meter.js';
import type { CanarySettings } from './rollout/canary-settings.js';
import type { Judge } from './rollout/judge.js';
import type { ModeKeeper } from './rollout/modes.js';
import type { TrialStore } from './rollout/trial-file.js';

export interface AgentOptions {
  readonly pkg: Package;
  /** Encodes the texts of callers. Default: at once, on the event loop. */
  readonly encoding?: TextEncoding;
  /** Already serves the live version of `versions`. */
  readonly policy: Policy;
  readonly replay: ReplayStore;
  readonly versions: VersionLog;
  /** `null` if the learner is off. */
  readonly learner: Learner | null;
  /** How scores become rewards. Default: all metrics and raters count the same, and scores go from 0 to 1. */
  readonly reward?: RewardSettings;
  /** The settings of the learner that decide what it may train on. Default: the learner's own defaults. */
  readonly training?: Pick<TrainingRules, 'maxStaleness' | 'holdoutShare'>;
  /** Automatic raters. Default: none. */
  readonly raters?: readonly RaterOptions[];
  readonly events: EventLog;
  /** Most requests that may run or wait at once. Further ones get `QUEUE_FULL`. Default 1024. */
  readonly maxOpenRequests?: number;
  /** Milliseconds that closing waits for running requests before it ends them. Default 10 000. */
  readonly drainGraceMs?: number;
  /** Whether the policy can serve other weights than the zero adapter. Default true. */
  readonly servesAdapters?: boolean;
  /** Rank of the learner; adapters of a larger rank are not imported. Default: any rank that can be served. */
  readonly maxImportRank?: number;
  /** Exploration of prompts that were answered. Default: off. */
  readonly exploration?: ExplorationSettings;
  /** Gets figures of what happens. Default: none are reported. */
  readonly meter?: Meter;
  /** Judges candidates. Default: checks only that all numbers are finite. */
  readonly judge?: Judge;
  /** Follows how much of the policy a judgement gets. Default: nobody does. */
  readonly gatePace?: GatePace;
  /** Keeps the mode. Default: `auto`, kept in memory only. */
  readonly modes?: ModeKeeper;
  /** Settings of trials. Default: see `canary-settings.ts`. */
  readonly canary?: CanarySettings;
  /** Keeps the state of trials over restarts. Default: it is not kept. */
  readonly trials?: TrialStore;
  /** Draws a number from [0, 1) to decide which requests take part in a trial. Default `Math.random`. */
  readonly draw?: () => number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
  /** The seed of a request that names none, 32-bit unsigned. Default: random. */
  readonly randomSeed?: () => number;
}
