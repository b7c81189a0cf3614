/** The messages between the server and a reward process: plain structured-clone values. */

import type { SerializedError } from '../../errors.js';
import type { RewardedCompletion } from '../types.js';
import type { CheckedAnswer, ScoreScale } from './check-scores.js';

/** The program that a reward process runs. */
export type RewardProgram =
  | { readonly type: 'model'; readonly directory: string; readonly threads: number }
  | { readonly type: 'function'; readonly module: string };

/** To the process: first its program, then batches, one at a time. */
export type RewardCommand =
  | { readonly type: 'start'; readonly program: RewardProgram; readonly scale: ScoreScale }
  | { readonly type: 'score'; readonly id: number; readonly items: readonly RewardedCompletion[] };

/** From the process. */
export type RewardEvent =
  | { readonly type: 'ready' }
  /** The program cannot be loaded; the process ends. */
  | { readonly type: 'refused'; readonly error: SerializedError }
  | { readonly type: 'answered'; readonly id: number; readonly answer: CheckedAnswer }
  /** The batch failed; the process continues. */
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
