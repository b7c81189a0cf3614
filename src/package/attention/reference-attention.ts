/** Attention as Hone computes it, for the comparison with what a file spells out. */

import type { Probe } from './probe-run.js';

/** What GroupQueryAttention needs to know. */
export interface AttentionForm {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly scale: number;
  /** Keys that a token sees, its own and those right before it; `null`: all. */
  readonly window: number | null;
  readonly softcap: number | null;
}

/** Whether a column of a row is no padding. */
const isReal = ({ mask }: Probe, row: number, column: number): boolean => (mask?.[row]?.[column] ?? 1) === 1;

/** Whether a token of a row sees a column of the cache. */
export function isSeen(probe: Probe, row: number, token: number, column: number, window: number | null): boolean {
  const own = probe.past + token;
  const isNear = window === null || own - column < window;
  return column <= own && isNear && isReal(probe, row, column);
}

/**
 * Computes attention of [B, heads, S, D] queries to [B, kvHeads, P + S, D] keys and values.
 * @returns [B, S, heads * D]; tokens of padding are NaN
 */
export function attend(
  probe: Probe,
  { heads, kvHeads, headSize, scale, window, softcap }: AttentionForm,
  query: Float32Array,
  key: Float32Array,
  value: Float32Array,
): Float32Array {
  const { rows, tokens, past } = probe;
  const total = past + tokens;
  const output = new Float32Array(rows * tokens * heads * headSize).fill(Number.NaN);
  for (let row = 0; row < rows; row++) {
    for (let token = 0; token < tokens; token++) {
      if (!isReal(probe, row, past + token)) continue;
      for (let head = 0; head < heads; head++) {
        const kv = row * kvHeads + Math.floor((head * kvHeads) / heads);
        const at = ((row * heads + head) * tokens + token) * headSize;
        const scores = Array.from({ length: total }, (_, column) => {
          if (!isSeen(probe, row, token, column, window)) return Number.NEGATIVE_INFINITY;
          let score = 0;
          for (let d = 0; d < headSize; d++) {
            score += (query[at + d] as number) * (key[(kv * total + column) * headSize + d] as number);
          }
          return softcap === null ? score * scale : softcap * Math.tanh((score * scale) / softcap);
        });
        const largest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - largest));
        const sum = weights.reduce((a, b) => a + b, 0);
        const to = ((row * tokens + token) * heads + head) * headSize;
        for (let d = 0; d < headSize; d++) {
          let mixed = 0;
          for (const [column, weight] of weights.entries()) {
            mixed += weight * (value[(kv * total + column) * headSize + d] as number);
          }
          output[to + d] = mixed / sum;
        }
      }
    }
  }
  return output;
}
