/**
 * A training engine that keeps to a memory budget: it splits a batch that is too large for one pass into micro-batches.
 *
 *     1. forward only, over all rows:  ln pi(y_i), so h_i, so the weights w = b + S h of the whole batch
 *     2. per micro-batch M:            the gradient of -sum over M of w_i ln pi(y_i);  the gradients add up
 *
 * No gradient flows through a weight, so it does not matter when it is computed: the sum is the gradient of one pass
 * over everything, up to the order in which floats are added. Siblings need not share a micro-batch. The price is the
 * pass forward of step 1, about a third more time; a form whose weights are constants needs none.
 *
 * A micro-batch consists of whole packed sequences, so a prompt is still computed once for its completions. A sequence
 * that is too large by itself is cut between completions. A completion is never cut: one that is over the budget alone
 * is for the caller to leave out (`holds`), and runs if it does not.
 */

import type { AdapterTarget } from '../../versions/index.js';
import { type LinearForm, weightsOf } from '../linear-form.js';
import type { Differentiated, Parameters, TrainingEngine, TrainingRow } from '../types.js';
import { sequencesOf } from './packing.js';
import type { PassShape } from './pass-memory.js';

interface MicroBatchOptions {
  /** Whether a pass over a batch of this shape stays within the budget. */
  readonly fits: (shape: PassShape) => boolean;
  /** Longest sequence that the engine packs, in tokens. Default: no limit. */
  readonly maxLength?: number;
}

export class MicroBatchEngine implements TrainingEngine {
  readonly name: string;
  readonly targets: readonly AdapterTarget[];
  readonly #engine: TrainingEngine;
  readonly #options: MicroBatchOptions;

  /** @param engine computes the micro-batches; it is closed with this one */
  constructor(engine: TrainingEngine, options: MicroBatchOptions) {
    this.name = engine.name;
    this.targets = engine.targets;
    this.#engine = engine;
    this.#options = options;
  }

  holds(promptTokens: number, completionTokens: number): boolean {
    return this.#options.fits({
      sequences: 1,
      length: promptTokens + completionTokens,
      targets: completionTokens,
      rows: 1,
    });
  }

  async logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array> {
    const logprobs = new Float32Array(rows.length);
    for (const chosen of planMicroBatches(rows, this.#options)) {
      const some = await this.#engine.logProbabilities(pick(rows, chosen), parameters);
      for (const [i, row] of chosen.entries()) logprobs[row] = some[i] as number;
    }
    return logprobs;
  }

  async differentiate(rows: readonly TrainingRow[], form: LinearForm, parameters: Parameters): Promise<Differentiated> {
    const plan = planMicroBatches(rows, this.#options);
    if (plan.length <= 1) return this.#engine.differentiate(rows, form, parameters);
    const weights =
      form.dependence === undefined ? form.constants : weightsOf(form, await this.logProbabilities(rows, parameters));
    const logprobs = new Float32Array(rows.length);
    const gradients = new Map<string, Float32Array>();
    for (const chosen of plan) {
      const constants = chosen.map((row) => weights[row] as number);
      const part = await this.#engine.differentiate(pick(rows, chosen), { constants }, parameters);
      for (const [i, row] of chosen.entries()) logprobs[row] = part.logprobs[i] as number;
      addTo(gradients, part.gradients);
    }
    return { logprobs, gradients };
  }

  promptFeatures(prompts: readonly ArrayLike<number>[], parameters: Parameters): Promise<Float32Array[]> {
    return this.#engine.promptFeatures(prompts, parameters);
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}

/**
 * The row numbers of each micro-batch. Long sequences come first, so that the sequences of a micro-batch have about the
 * same length: the shorter ones are padded.
 */
export function planMicroBatches(rows: readonly TrainingRow[], options: MicroBatchOptions): number[][] {
  const { fits, maxLength = Number.POSITIVE_INFINITY } = options;
  const targetsOf = (chosen: readonly number[]): number =>
    chosen.reduce((sum, row) => sum + (rows[row] as TrainingRow).completionTokens.length, 0);
  const pieces = sequencesOf(rows, { maxLength }).flatMap(({ rows: members, prompt, length }) => {
    const whole = { rows: members, length, targets: targetsOf(members) };
    if (fits({ sequences: 1, length, targets: whole.targets, rows: members.length })) return [whole];
    return cut(
      members,
      (chosen) => ({
        rows: chosen,
        length: prompt.length + targetsOf(chosen),
        targets: targetsOf(chosen),
      }),
      fits,
    );
  });
  pieces.sort((a, b) => b.length - a.length);
  const batches: number[][] = [];
  let current: { rows: number[]; shape: PassShape } | undefined;
  for (const piece of pieces) {
    const shape: PassShape = {
      sequences: (current?.shape.sequences ?? 0) + 1,
      length: current?.shape.length ?? piece.length,
      targets: (current?.shape.targets ?? 0) + piece.targets,
      rows: (current?.rows.length ?? 0) + piece.rows.length,
    };
    if (current !== undefined && fits(shape)) {
      current.rows.push(...piece.rows);
      current.shape = shape;
    } else {
      current = {
        rows: [...piece.rows],
        shape: { sequences: 1, length: piece.length, targets: piece.targets, rows: piece.rows.length },
      };
      batches.push(current.rows);
    }
  }
  return batches;
}

interface Piece {
  readonly rows: readonly number[];
  readonly length: number;
  readonly targets: number;
}

/** Cuts a sequence that does not fit into sequences with fewer completions of its prompt. */
function cut(
  members: readonly number[],
  pieceOf: (rows: readonly number[]) => Piece,
  fits: MicroBatchOptions['fits'],
): Piece[] {
  const pieces: Piece[] = [];
  for (const row of members) {
    const last = pieces.at(-1);
    const longer = last && pieceOf([...last.rows, row]);
    if (longer && fits({ sequences: 1, length: longer.length, targets: longer.targets, rows: longer.rows.length })) {
      pieces[pieces.length - 1] = longer;
    } else {
      pieces.push(pieceOf([row]));
    }
  }
  return pieces;
}

/** Adds gradients to their sums so far; the first of a parameter becomes its sum. */
function addTo(sums: Map<string, Float32Array>, gradients: ReadonlyMap<string, Float32Array>): void {
  for (const [name, gradient] of gradients) {
    const sum = sums.get(name);
    if (sum === undefined) sums.set(name, gradient);
    else for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradient[i] as number);
  }
}

function pick(rows: readonly TrainingRow[], chosen: readonly number[]): TrainingRow[] {
  return chosen.map((row) => rows[row] as TrainingRow);
}
