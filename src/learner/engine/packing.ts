/** Packs rows into the inputs of the training graph: the completions of one prompt share its tokens. */

import { Tensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import type { TrainingRow } from '../types.js';

export interface PackedRows {
  /** `input_ids`, `position_ids`, `segment_ids` [B, T]; `target_positions`, `target_ids` [N]; `row_of_token` [R, N]. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Row of each of the N target tokens. */
  readonly rowOfToken: Int32Array;
}

/** One prompt, followed by completions of it. */
interface PackedSequence {
  readonly prompt: ArrayLike<number>;
  /** Row numbers of its completions. */
  readonly rows: readonly number[];
  /** In tokens; the prompt counts once. */
  readonly length: number;
}

interface OpenSequence extends PackedSequence {
  readonly rows: number[];
  length: number;
}

export interface PackOptions {
  /** Whether `row_of_token` sums or averages a row's token log-probabilities. Default `sum`. */
  readonly logProbability?: 'sum' | 'mean';
  /**
   * Longest sequence in tokens: if the completions of a prompt do not fit into one, the prompt is repeated. A row that
   * is longer by itself stays whole. Default: no limit.
   */
  readonly maxLength?: number;
}

/** @throws HoneError `INTERNAL` for a row without prompt or completion tokens: the caller filters those out. */
export function packRows(rows: readonly TrainingRow[], options: PackOptions = {}): PackedRows {
  const sequences = sequencesOf(rows, options);
  const batch = sequences.length;
  const length = sequences.reduce((longest, sequence) => Math.max(longest, sequence.length), 0);
  const targets = rows.reduce((count, row) => count + row.completionTokens.length, 0);
  const ids = new BigInt64Array(batch * length);
  const positions = new BigInt64Array(batch * length);
  const segments = new BigInt64Array(batch * length);
  const targetPositions = new BigInt64Array(targets);
  const targetIds = new BigInt64Array(targets);
  const rowOfToken = new Int32Array(targets);
  const rowMatrix = new Float32Array(rows.length * targets);
  const mean = options.logProbability === 'mean';
  let target = 0;
  for (const [b, sequence] of sequences.entries()) {
    let cursor = b * length;
    const promptLength = sequence.prompt.length;
    for (let i = 0; i < promptLength; i++, cursor++) {
      ids[cursor] = BigInt(sequence.prompt[i] as number);
      positions[cursor] = BigInt(i);
    }
    for (const [k, r] of sequence.rows.entries()) {
      const completion = (rows[r] as TrainingRow).completionTokens;
      for (let i = 0; i < completion.length; i++, cursor++) {
        // The prompt's last position predicts the first token of a completion.
        targetPositions[target] = BigInt(i === 0 ? b * length + promptLength - 1 : cursor - 1);
        targetIds[target] = BigInt(completion[i] as number);
        rowOfToken[target] = r;
        rowMatrix[r * targets + target] = mean ? 1 / completion.length : 1;
        target += 1;
        ids[cursor] = BigInt(completion[i] as number);
        positions[cursor] = BigInt(promptLength + i);
        segments[cursor] = BigInt(k + 1);
      }
    }
  }
  return {
    feeds: {
      input_ids: new Tensor('int64', ids, [batch, length]),
      position_ids: new Tensor('int64', positions, [batch, length]),
      segment_ids: new Tensor('int64', segments, [batch, length]),
      target_positions: new Tensor('int64', targetPositions, [targets]),
      target_ids: new Tensor('int64', targetIds, [targets]),
      row_of_token: new Tensor('float32', rowMatrix, [rows.length, targets]),
    },
    rowOfToken,
  };
}

/** The sequences that hold the rows. @throws HoneError `INTERNAL` as {@link packRows} */
export function sequencesOf(rows: readonly TrainingRow[], options: PackOptions = {}): readonly PackedSequence[] {
  const { maxLength = Number.POSITIVE_INFINITY } = options;
  const sequences: OpenSequence[] = [];
  /** The sequence of each prompt that further completions are added to. */
  const open = new Map<string, OpenSequence>();
  for (const [r, { promptTokens, completionTokens }] of rows.entries()) {
    if (promptTokens.length === 0 || completionTokens.length === 0) {
      throw new HoneError(
        'INTERNAL',
        `training row ${r} has ${promptTokens.length} prompt and ${completionTokens.length} completion tokens`,
      );
    }
    const key = Array.prototype.join.call(promptTokens, ',');
    let sequence = open.get(key);
    if (sequence === undefined || sequence.length + completionTokens.length > maxLength) {
      sequence = { prompt: promptTokens, rows: [], length: promptTokens.length };
      sequences.push(sequence);
      open.set(key, sequence);
    }
    sequence.rows.push(r);
    sequence.length += completionTokens.length;
  }
  return sequences;
}
