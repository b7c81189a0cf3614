/**
 * Ridge regression of a target y on the sketches x of prompts, and the choice of its columns and shrinkage l.
 *
 *     minimise  sum_i (y_i - mean - w x_i)^2 + n l |w|^2
 *
 * Columns are scaled: the variances of each block of the sketch add up to 1, and the variance of each word is 1. The
 * leave-one-out error needs no second fit: e_i = (y_i - fit_i) / (1 - leverage_i).
 */

import { factorize, forwardSolve, solve } from './cholesky.js';
import { type PromptSketch, sketchBlocks } from './prompt-sketch.js';
import { screenWords } from './word-screen.js';

/** The columns of a regression, and the shrinkage l. Without columns, the prediction is the mean. */
export interface RidgeChoice {
  readonly sketch: boolean;
  readonly words: readonly number[];
  readonly shrinkage: number;
}

export const meanAlone: RidgeChoice = { sketch: false, words: [], shrinkage: 1 };

const shrinkages = [0.3, 0.1, 0.03, 0.01, 0.003] as const;

/** The centred and scaled columns of prompts. */
class Design {
  readonly width: number;
  readonly rows: readonly Float64Array[];
  readonly #choice: RidgeChoice;
  readonly #means: Float64Array;
  readonly #scales: Float64Array;

  constructor(prompts: readonly PromptSketch[], choice: RidgeChoice) {
    this.#choice = choice;
    const raw = prompts.map((prompt) => this.#columns(prompt));
    this.width = raw[0]?.length ?? 0;
    const means = new Float64Array(this.width);
    const variances = new Float64Array(this.width);
    for (const row of raw) for (const [k, value] of row.entries()) means[k] = (means[k] as number) + value / raw.length;
    for (const row of raw) {
      for (const [k, value] of row.entries()) {
        variances[k] = (variances[k] as number) + (value - (means[k] as number)) ** 2 / raw.length;
      }
    }
    this.#means = means;
    this.#scales = new Float64Array(this.width);
    let from = 0;
    for (const size of [...(choice.sketch ? sketchBlocks : []), ...choice.words.map(() => 1)]) {
      const total = variances.subarray(from, from + size).reduce((sum, variance) => sum + variance, 0);
      this.#scales.fill(total > 0 ? 1 / Math.sqrt(total) : 0, from, from + size);
      from += size;
    }
    this.rows = raw.map((row) => this.#scaled(row));
  }

  row(prompt: PromptSketch): Float64Array {
    return this.#scaled(this.#columns(prompt));
  }

  /** The lower triangle of sum_i x_i x_i^T. */
  gram(): Float64Array {
    const { width } = this;
    const gram = new Float64Array(width * width);
    for (const row of this.rows) {
      for (let a = 0; a < width; a++) {
        const value = row[a] as number;
        for (let b = 0; b <= a; b++) gram[a * width + b] = (gram[a * width + b] as number) + value * (row[b] as number);
      }
    }
    return gram;
  }

  #columns({ numbers, tokens }: PromptSketch): Float64Array {
    const { sketch, words } = this.#choice;
    return Float64Array.from([...(sketch ? numbers : []), ...words.map((word) => (tokens.includes(word) ? 1 : 0))]);
  }

  #scaled(row: Float64Array): Float64Array {
    return row.map((value, k) => (value - (this.#means[k] as number)) * (this.#scales[k] as number));
  }
}

/** A regression on fixed prompts, whose targets may change. */
export class PromptRidge {
  readonly #design: Design;
  readonly #factor: Float64Array;
  /** The leverage of each prompt, without the share 1/n of the mean. */
  readonly #leverages: Float64Array;
  #weights: Float64Array;
  #targets: Float64Array = new Float64Array();
  #mean = 0;

  constructor(prompts: readonly PromptSketch[], choice: RidgeChoice, design?: Design, gram?: Float64Array) {
    this.#design = design ?? new Design(prompts, choice);
    const { width, rows } = this.#design;
    const matrix = (gram ?? this.#design.gram()).slice();
    for (let k = 0; k < width; k++) {
      matrix[k * width + k] = (matrix[k * width + k] as number) + choice.shrinkage * rows.length;
    }
    this.#factor = factorize(matrix, width);
    this.#leverages = Float64Array.from(rows, (row) => squaredNorm(forwardSolve(this.#factor, width, row)));
    this.#weights = new Float64Array(width);
  }

  /** Fits one target per prompt. */
  fit(targets: Float64Array): void {
    const { rows, width } = this.#design;
    this.#targets = targets;
    this.#mean = targets.reduce((sum, target) => sum + target, 0) / targets.length;
    const right = new Float64Array(width);
    for (const [i, row] of rows.entries()) {
      const deviation = (targets[i] as number) - this.#mean;
      for (let k = 0; k < width; k++) right[k] = (right[k] as number) + deviation * (row[k] as number);
    }
    this.#weights = solve(this.#factor, width, right);
  }

  /** How a prompt differs from the mean. */
  effect(prompt: PromptSketch): number {
    return dot(this.#weights, this.#design.row(prompt));
  }

  /** The effect of the i-th prompt as the others alone tell it. */
  effectWithout(i: number): number {
    const effect = dot(this.#weights, this.#design.rows[i] as Float64Array);
    const leverage = this.#leverages[i] as number;
    return effect - (leverage / (1 - leverage)) * ((this.#targets[i] as number) - this.#mean - effect);
  }

  /** Mean squared leave-one-out error. */
  leaveOneOutError(): number {
    let sum = 0;
    for (const [i, row] of this.#design.rows.entries()) {
      const error = (this.#targets[i] as number) - this.#mean - dot(this.#weights, row);
      sum += (error / (1 - (this.#leverages[i] as number) - 1 / this.#targets.length)) ** 2;
    }
    return sum / this.#targets.length;
  }
}

/**
 * Chooses the columns and shrinkage with the least leave-one-out error; the mean alone is one choice. Because the words
 * were selected by the targets, their error is multiplied by 1 + 2 k ln T / n for k words out of T tried (the risk
 * inflation criterion, Foster and George 1994).
 */
export function chooseRidge(prompts: readonly PromptSketch[], targets: Float64Array): RidgeChoice {
  const { words, tried } = screenWords(
    prompts.map(({ tokens }) => tokens),
    targets,
  );
  const errorOf = (choice: RidgeChoice, design?: Design, gram?: Float64Array): number => {
    const ridge = new PromptRidge(prompts, choice, design, gram);
    ridge.fit(targets);
    return ridge.leaveOneOutError();
  };
  let best = meanAlone;
  let least = errorOf(meanAlone);
  const columns = [{ sketch: true, words: [] as number[] }];
  if (words.length > 0) columns.push({ sketch: false, words: [...words] }, { sketch: true, words: [...words] });
  for (const chosen of columns) {
    const price = 1 + (2 * chosen.words.length * Math.log(Math.max(2, tried))) / prompts.length;
    const design = new Design(prompts, { ...chosen, shrinkage: 1 });
    const gram = design.gram();
    for (const shrinkage of shrinkages) {
      const choice = { ...chosen, shrinkage };
      const error = price * errorOf(choice, design, gram);
      if (error >= least) continue;
      best = choice;
      least = error;
    }
  }
  return best;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += (a[k] as number) * (b[k] as number);
  return sum;
}

function squaredNorm(values: Float64Array): number {
  return dot(values, values);
}
