/**
 * The smallest policy that CoPG can train, with exact gradients: three arms, logits = scale * A B from a LoRA pair of
 * one linear layer with one input. A completion is one token, the arm; the prompt does not matter.
 */

import { type LinearForm, weightsOf } from '../../../src/learner/linear-form.js';
import type { Differentiated, Parameters, TrainingEngine, TrainingRow } from '../../../src/learner/types.js';
import type { AdapterTarget } from '../../../src/versions/index.js';

export class BanditEngine implements TrainingEngine {
  readonly name = 'bandit';
  readonly targets: readonly AdapterTarget[] = [{ module: 'bandit', inFeatures: 1, outFeatures: 3 }];
  readonly #scale: number;
  /** The arguments of every pass with gradients, for tests to inspect. */
  readonly passes: { readonly rows: readonly TrainingRow[]; readonly form: LinearForm }[] = [];
  /** If true, gradients contain a NaN. */
  poisoned = false;
  /** Number of rows passed to `logProbabilities`. */
  evaluatedRows = 0;
  /** Number of prompts passed to `promptFeatures`. */
  describedPrompts = 0;

  constructor(scale: number) {
    this.#scale = scale;
  }

  logits(parameters: Parameters): [number, number, number] {
    const a = parameters.get('bandit.lora_A')?.data ?? [];
    const b = parameters.get('bandit.lora_B')?.data ?? [];
    const logits: [number, number, number] = [0, 0, 0];
    for (let r = 0; r < a.length; r++) {
      for (const k of [0, 1, 2] as const) logits[k] += this.#scale * (a[r] as number) * (b[r * 3 + k] as number);
    }
    return logits;
  }

  probabilities(parameters: Parameters): number[] {
    const powers = this.logits(parameters).map(Math.exp);
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  async logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array> {
    this.evaluatedRows += rows.length;
    return this.#logprobs(rows, parameters);
  }

  /** Features [2]: a constant and the first token. */
  async promptFeatures(prompts: readonly ArrayLike<number>[]): Promise<Float32Array[]> {
    this.describedPrompts += prompts.length;
    return prompts.map((tokens) => Float32Array.of(1, tokens[0] as number));
  }

  async differentiate(rows: readonly TrainingRow[], form: LinearForm, parameters: Parameters): Promise<Differentiated> {
    this.passes.push({ rows, form });
    const logprobs = this.#logprobs(rows, parameters);
    const weights = weightsOf(form, logprobs);
    const pi = this.probabilities(parameters);
    const dLogits = [0, 0, 0];
    for (const [i, { completionTokens }] of rows.entries()) {
      for (const k of [0, 1, 2]) {
        const d = (completionTokens[0] === k ? 1 : 0) - (pi[k] as number);
        dLogits[k] = (dLogits[k] as number) - (weights[i] as number) * d;
      }
    }
    const gradients = this.#chain(parameters, dLogits);
    if (this.poisoned) for (const gradient of gradients.values()) gradient[0] = Number.NaN;
    return { logprobs, gradients };
  }

  async close(): Promise<void> {}

  #logprobs(rows: readonly TrainingRow[], parameters: Parameters): Float32Array {
    const pi = this.probabilities(parameters);
    return Float32Array.from(rows, ({ completionTokens }) => Math.log(pi[completionTokens[0] as number] as number));
  }

  #chain(parameters: Parameters, dLogits: readonly number[]): Map<string, Float32Array> {
    const a = parameters.get('bandit.lora_A')?.data ?? new Float32Array();
    const b = parameters.get('bandit.lora_B')?.data ?? new Float32Array();
    const dA = new Float32Array(a.length);
    const dB = new Float32Array(b.length);
    for (let r = 0; r < a.length; r++) {
      for (const k of [0, 1, 2]) {
        const d = this.#scale * (dLogits[k] as number);
        dA[r] = (dA[r] as number) + d * (b[r * 3 + k] as number);
        dB[r * 3 + k] = d * (a[r] as number);
      }
    }
    return new Map([
      ['bandit.lora_A', dA],
      ['bandit.lora_B', dB],
    ]);
  }
}
