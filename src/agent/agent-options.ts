/** What an agent is made of. */

import type { TrainingRules } from '../learner/index.js';
import type { Package } from '../package/index.js';
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
  /** Serves the head of `versions` already. */
  readonly policy: Policy;
  readonly replay: ReplayStore;
  readonly versions: VersionLog;
  /** `null`: the learner is off. */
  readonly learner: Learner | null;
  /** How scores become rewards. Default: all metrics and raters alike, scores from 0 to 1. */
  readonly reward?: RewardSettings;
  /** What of the learner's settings decides what may train. Default: the learner's own defaults. */
  readonly training?: Pick<TrainingRules, 'maxStaleness' | 'holdoutShare'>;
  /** Who rates without a person. Default: nobody. */
  readonly raters?: readonly RaterOptions[];
  readonly events: EventLog;
  /** Requests that may run or wait at once; beyond it `QUEUE_FULL`. Default 1024. */
  readonly maxOpenRequests?: number;
  /** How long closing waits for running requests before it cuts them off. Default 10 000. */
  readonly drainGraceMs?: number;
  /** Whether the policy can serve other weights than the zero adapter. Default true. */
  readonly servesAdapters?: boolean;
  /** Rank of the learner: larger adapters are not imported. Default: any rank that can be served. */
  readonly maxImportRank?: number;
  /** Of prompts that were answered. Default: none are explored. */
  readonly exploration?: ExplorationSettings;
  /** Told what happens, in figures. Default: nobody counts. */
  readonly meter?: Meter;
  /** How candidates are judged. Default: nothing but finite numbers are asked for. */
  readonly judge?: Judge;
  /** Which way candidates go. Default: at once live, and forgotten with the process. */
  readonly modes?: ModeKeeper;
  /** Of trials. Default: see `canary-settings.ts`. */
  readonly canary?: CanarySettings;
  /** Where trials are kept over restarts. Default: nowhere. */
  readonly trials?: TrialStore;
  /** Draws from [0, 1) who takes part in a trial. Default `Math.random`. */
  readonly draw?: () => number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
  /** Where a request names no seed: 32-bit unsigned. Default: random. */
  readonly randomSeed?: () => number;
}
