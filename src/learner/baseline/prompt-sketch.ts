/**
 * The sketch of a prompt that V(x) is predicted from: a random projection of its pooled hidden states and a hashed bag
 * of its tokens, whose size does not depend on the model's width; and the tokens themselves, so that a single word can
 * count.
 */

import { createRandom } from '../random.js';

/** Sizes of the three blocks: the mean of the hidden states, the last hidden state, the bag of tokens. */
export const sketchBlocks = [48, 16, 64] as const;
export const sketchSize = sketchBlocks.reduce((sum, size) => sum + size, 0);

export interface PromptSketch {
  /** [sketchSize] */
  readonly numbers: Float32Array;
  /** Distinct tokens, ascending. */
  readonly tokens: Uint32Array;
}

const projectionSeed = 0x5eed;

export class PromptSketcher {
  /** Random signs by the width of the hidden states, [48 + 16, width]. */
  readonly #signs = new Map<number, Float32Array>();

  /** @param features [2 D] of the prompt: mean of the hidden states, then the last one */
  sketch(features: Float32Array, promptTokens: ArrayLike<number>): PromptSketch {
    const [mean, last, bag] = sketchBlocks;
    const width = features.length >> 1;
    const signs = this.#signsFor(width);
    const numbers = new Float32Array(sketchSize);
    for (let k = 0; k < mean + last; k++) {
      const from = k < mean ? 0 : width;
      let sum = 0;
      for (let d = 0; d < width; d++) sum += (features[from + d] as number) * (signs[k * width + d] as number);
      numbers[k] = sum / Math.sqrt(width);
    }
    const tokens = Uint32Array.from(new Set(Array.from(promptTokens))).sort();
    for (const token of tokens) {
      const hash = Math.imul(token + 1, 0x9e3779b1) >>> 0;
      const at = mean + last + ((hash >>> 8) % bag);
      numbers[at] = (numbers[at] as number) + ((hash & 1) === 0 ? 1 : -1);
    }
    return { numbers, tokens };
  }

  #signsFor(width: number): Float32Array {
    let signs = this.#signs.get(width);
    if (signs === undefined) {
      const random = createRandom(projectionSeed);
      signs = Float32Array.from({ length: (sketchBlocks[0] + sketchBlocks[1]) * width }, () =>
        random() < 0.5 ? -1 : 1,
      );
      this.#signs.set(width, signs);
    }
    return signs;
  }
}
