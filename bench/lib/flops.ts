/** Floating-point operations that a training step cannot do without; a multiply-add counts as two. */

import type { BenchModel } from './models.js';

export interface StepShape {
  readonly sequences: number;
  /** Positions of each sequence. */
  readonly length: number;
  /** Positions that predict a target, over all sequences. */
  readonly targets: number;
  readonly rank: number;
}

/**
 * Products of a forward and backward pass that trains LoRA matrices alone: activations' gradients through every linear
 * layer, no weight gradients but the adapters'. Attention counts whole score matrices. What lies before the first
 * adapter needs no gradient: the inputs of layer 0's q, k and v.
 */
export function trainingFlops(model: BenchModel, { sequences, length, targets, rank }: StepShape): number {
  const positions = sequences * length;
  let total = 0;
  for (const [module, [inputs, outputs]] of model.linears) {
    const atStart = /\.layers\.0\.self_attn\.[qkv]_proj$/.test(module);
    const dense = 2 * positions * inputs * outputs;
    total += atStart ? dense : 2 * dense;
    // Forward x A and (x A) B; backward dB, d(x A), dA and, past the start, dx.
    const down = 2 * positions * inputs * rank;
    const up = 2 * positions * rank * outputs;
    total += down + up + (2 * up + down + (atStart ? 0 : down));
  }
  const scores = 2 * sequences * length * length * model.heads * model.headSize;
  total += model.layers * 6 * scores;
  total += 2 * 2 * targets * model.hiddenSize * model.vocabularySize;
  return total;
}
