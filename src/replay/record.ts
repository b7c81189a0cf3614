/**
 * Writes the store as lines of JSON, for export; `docs/replay.md` describes the format. A line holds everything that is
 * kept of one generation, edit, score or preference, and does not depend on this store. Scores and preferences come after
 * their generations. `record-reading.ts` reads the lines.
 */

import type { Generation, Preference, Score } from './types.js';

/** The number of the format, which every record holds. */
export const recordFormat = 1;

export type ReplayRecord =
  | { readonly type: 'generation'; readonly generation: Generation }
  | { readonly type: 'score'; readonly score: Omit<Score, 'sequence'> }
  | { readonly type: 'preference'; readonly preference: Omit<Preference, 'sequence'> };

/** Returns the line of a record, without a newline. */
export function formatRecord(item: ReplayRecord): string {
  if (item.type === 'score') {
    const { generationId, rater, metric, value, createdAtMs } = item.score;
    return JSON.stringify({ format: recordFormat, type: 'score', generationId, rater, metric, value, createdAtMs });
  }
  if (item.type === 'preference') {
    const { generationId, otherId, rater, metric, outcome, createdAtMs } = item.preference;
    const fields = { generationId, otherId, rater, metric, outcome, createdAtMs };
    return JSON.stringify({ format: recordFormat, type: 'preference', ...fields });
  }
  const { generation: g } = item;
  const common = {
    packageDigest: g.packageDigest,
    version: g.version,
    adapterDigest: g.adapterDigest,
    subject: g.subject,
    createdAtMs: g.createdAtMs,
    finishedAtMs: g.finishedAtMs ?? g.createdAtMs,
    metadata: JSON.parse(g.metadataJson) as unknown,
    prompt: JSON.parse(g.promptJson) as unknown,
    promptTokens: [...g.promptTokens],
    text: g.text,
    tokens: [...g.tokens],
  };
  if (g.origin === 'edit') {
    return JSON.stringify({ format: recordFormat, type: 'edit', id: g.id, editOf: g.editOf, ...common });
  }
  return JSON.stringify({
    format: recordFormat,
    type: 'generation',
    id: g.id,
    origin: g.origin,
    state: g.state,
    finishReason: g.finishReason ?? '',
    endOfSequence: g.endOfSequence,
    ...common,
    sampling: JSON.parse(g.samplingJson) as unknown,
    logprobs: toNumbers(g.logprobs),
    sampledLogprobs: toNumbers(g.sampledLogprobs),
  });
}

/** Nine digits are enough to read the same 32-bit float back. */
function toNumbers(values: Float32Array): (number | string)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toPrecision(9)) : String(value)));
}
