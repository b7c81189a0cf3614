/** What the server and a reward process say to each other over their channel; plain structured-clone values. */

import type { SerializedError } from '../../errors.js';
import type { RewardedCompletion } from '../types.js';

/** What a process is to be. */
export type RewardProgram =
  | { readonly type: 'model'; readonly directory: string; readonly threads: number }
  | { readonly type: 'function'; readonly module: string };

/** To the process: first what it is to be, then batches, one at a time. */
export type RewardCommand =
  | { readonly type: 'start'; readonly program: RewardProgram }
  | { readonly type: 'score'; readonly id: number; readonly items: readonly RewardedCompletion[] };

/** From the process. */
export type RewardEvent =
  | { readonly type: 'ready' }
  /** It cannot be what it was to be, and ends. */
  | { readonly type: 'refused'; readonly error: SerializedError }
  | { readonly type: 'scores'; readonly id: number; readonly scores: unknown }
  /** The batch failed; the process goes on. */
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
