/** Between rows of the database and the store's own types; the two are the same thing in two notations. */

import type { Generation, GenerationState, ReplayChange, Score } from './types.js';

export interface GenerationRow {
  readonly id: string;
  readonly state: string;
  readonly group_key: string;
  readonly package_digest: string;
  readonly version: number;
  readonly adapter_digest: string;
  readonly subject: string;
  readonly created_at_ms: number;
  readonly finished_at_ms: number | null;
  readonly finish_reason: string | null;
  readonly end_of_sequence: number;
  readonly sampling_json: string;
  readonly prompt_json: string;
  readonly text: string;
  readonly prompt_tokens: Buffer;
  readonly tokens: Buffer;
  readonly logprobs: Buffer;
  readonly sampled_logprobs: Buffer;
}

export interface ScoreRow {
  readonly generation_id: string;
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
  readonly created_at_ms: number;
  readonly sequence: number;
}

export interface ChangeRow {
  readonly sequence: number;
  readonly type: string;
  readonly generation_id: string;
  readonly rater: string | null;
  readonly metric: string | null;
  readonly value: number | null;
}

/** The bytes of a typed array, without a copy (every platform that Node runs on here is little-endian). */
export function toBlob(values: Uint32Array | Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

/** A copy: a blob's memory need not be aligned to four bytes. */
function toUint32(blob: Buffer): Uint32Array {
  return new Uint32Array(Uint8Array.prototype.slice.call(blob).buffer);
}

function toFloat32(blob: Buffer): Float32Array {
  return new Float32Array(Uint8Array.prototype.slice.call(blob).buffer);
}

export function toGeneration(row: GenerationRow): Generation {
  return {
    id: row.id,
    state: row.state as GenerationState,
    groupKey: row.group_key,
    packageDigest: row.package_digest,
    version: row.version,
    adapterDigest: row.adapter_digest,
    subject: row.subject,
    createdAtMs: row.created_at_ms,
    finishedAtMs: row.finished_at_ms,
    finishReason: row.finish_reason,
    endOfSequence: row.end_of_sequence === 1,
    samplingJson: row.sampling_json,
    promptJson: row.prompt_json,
    text: row.text,
    promptTokens: toUint32(row.prompt_tokens),
    tokens: toUint32(row.tokens),
    logprobs: toFloat32(row.logprobs),
    sampledLogprobs: toFloat32(row.sampled_logprobs),
  };
}

export function toScore(row: ScoreRow): Score {
  return {
    generationId: row.generation_id,
    rater: row.rater,
    metric: row.metric,
    value: row.value,
    createdAtMs: row.created_at_ms,
    sequence: row.sequence,
  };
}

export function toChange(row: ChangeRow): ReplayChange {
  if (row.type === 'generation') {
    return { sequence: row.sequence, type: 'generation', generationId: row.generation_id };
  }
  return {
    sequence: row.sequence,
    type: 'score',
    generationId: row.generation_id,
    rater: row.rater ?? '',
    metric: row.metric ?? '',
    value: row.value,
  };
}
