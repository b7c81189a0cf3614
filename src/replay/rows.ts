/** Converts rows of the database to the store's types. */

import { type WholeText, whole, wholeText } from '../sqlite/index.js';
import type {
  Generation,
  GenerationOrigin,
  GenerationState,
  Preference,
  PreferenceOutcome,
  ReplayChange,
  Score,
} from './types.js';

/** Columns of a generation with its prompt, for a SELECT that joins the two. */
export const generationColumns = [
  'generations.id, state, origin, edit_of, group_key, version, created_at_ms, finished_at_ms, end_of_sequence',
  'sampling_json, metadata_json, prompt_json, prompt_tokens, tokens, logprobs, sampled_logprobs',
  ...['text', 'subject', 'package_digest', 'adapter_digest', 'finish_reason'].map((column) => whole(column)),
].join(', ');

const byWhom = `${whole('rater')}, ${whole('metric')}`;
export const scoreColumns = `generation_id, ${byWhom}, value, created_at_ms, sequence`;
export const preferenceColumns = `first_id, second_id, ${byWhom}, outcome, preferences.created_at_ms, sequence`;
export const changeColumns = `sequence, type, generation_id, other_id, ${byWhom}, value`;

export interface GenerationRow {
  readonly id: string;
  readonly state: string;
  readonly origin: string;
  readonly edit_of: string | null;
  readonly group_key: string;
  readonly package_digest: WholeText;
  readonly version: number;
  readonly adapter_digest: WholeText;
  readonly subject: WholeText;
  readonly created_at_ms: number;
  readonly finished_at_ms: number | null;
  readonly finish_reason: WholeText | null;
  readonly end_of_sequence: number;
  readonly sampling_json: string;
  readonly metadata_json: string;
  readonly prompt_json: string;
  readonly text: WholeText;
  readonly prompt_tokens: Uint8Array;
  readonly tokens: Uint8Array;
  readonly logprobs: Uint8Array;
  readonly sampled_logprobs: Uint8Array;
}

export interface ScoreRow {
  readonly generation_id: string;
  readonly rater: WholeText;
  readonly metric: WholeText;
  readonly value: number;
  readonly created_at_ms: number;
  readonly sequence: number;
}

export interface PreferenceRow {
  readonly first_id: string;
  readonly second_id: string;
  readonly rater: WholeText;
  readonly metric: WholeText;
  readonly outcome: number;
  readonly created_at_ms: number;
  readonly sequence: number;
}

export interface ChangeRow {
  readonly sequence: number;
  readonly type: string;
  readonly generation_id: string | null;
  readonly other_id: string | null;
  readonly rater: WholeText | null;
  readonly metric: WholeText | null;
  readonly value: number | null;
}

/** The bytes of a typed array, not copied. Every platform that Hone supports is little-endian. */
export function toBlob(values: Uint32Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Copies, because the memory of a blob need not be aligned to four bytes. */
export function toUint32(blob: Uint8Array): Uint32Array {
  return new Uint32Array(blob.slice().buffer);
}

function toFloat32(blob: Uint8Array): Float32Array {
  return new Float32Array(blob.slice().buffer);
}

export function toGeneration(row: GenerationRow): Generation {
  return {
    id: row.id,
    state: row.state as GenerationState,
    origin: row.origin as GenerationOrigin,
    editOf: row.edit_of,
    groupKey: row.group_key,
    packageDigest: wholeText(row.package_digest),
    version: row.version,
    adapterDigest: wholeText(row.adapter_digest),
    subject: wholeText(row.subject),
    createdAtMs: row.created_at_ms,
    finishedAtMs: row.finished_at_ms,
    finishReason: row.finish_reason === null ? null : wholeText(row.finish_reason),
    endOfSequence: row.end_of_sequence === 1,
    samplingJson: row.sampling_json,
    metadataJson: row.metadata_json,
    promptJson: row.prompt_json,
    text: wholeText(row.text),
    promptTokens: toUint32(row.prompt_tokens),
    tokens: toUint32(row.tokens),
    logprobs: toFloat32(row.logprobs),
    sampledLogprobs: toFloat32(row.sampled_logprobs),
  };
}

export function toScore(row: ScoreRow): Score {
  return {
    generationId: row.generation_id,
    rater: wholeText(row.rater),
    metric: wholeText(row.metric),
    value: row.value,
    createdAtMs: row.created_at_ms,
    sequence: row.sequence,
  };
}

export function toPreference(row: PreferenceRow): Preference {
  return {
    generationId: row.first_id,
    otherId: row.second_id,
    rater: wholeText(row.rater),
    metric: wholeText(row.metric),
    outcome: outcomes[row.outcome + 1] ?? 'tie',
    createdAtMs: row.created_at_ms,
    sequence: row.sequence,
  };
}

const outcomes: readonly PreferenceOutcome[] = ['worse', 'tie', 'better'];

/** The number in the database: 1 better, 0 tie, -1 worse. */
export function outcomeCode(outcome: PreferenceOutcome): number {
  return outcomes.indexOf(outcome) - 1;
}

export function toChange(row: ChangeRow): ReplayChange {
  const { sequence, type, generation_id: id } = row;
  if (id === null) return { sequence, type: 'removed' };
  if (type === 'generation') return { sequence, type, generationId: id };
  const by = { generationId: id, rater: wholeText(row.rater ?? ''), metric: wholeText(row.metric ?? '') };
  if (type === 'score') return { sequence, type, ...by, value: row.value };
  const outcome = row.value === null ? null : (outcomes[row.value + 1] ?? 'tie');
  return { sequence, type: 'preference', ...by, otherId: row.other_id ?? '', outcome };
}
