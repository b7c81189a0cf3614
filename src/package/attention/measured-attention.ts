/** Attention as a file spells it, with the form that was measured of it. */

import type { AttentionForm } from './reference-attention.js';
import type { SpelledAttention } from './spelled-attention.js';

/** A site with its form. */
export interface MeasuredAttention extends SpelledAttention {
  readonly form: AttentionForm;
  /** The value that attention's result has taken, [B, S, heads * headSize] or [B * S, heads * headSize]. */
  readonly output: string;
}

/** What a user does about attention that Hone does not compute. */
export const remedy = 'export the model with plain causal attention, or serve another model';
