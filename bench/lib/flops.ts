/** Counts the floating-point operations that a training step needs at least. A multiply-add counts as two. */

import type { BenchModel } from './models.js';

interface StepShape {
  readonly sequences: number;
  /** Number of positions of each sequence. */
  readonly length: number;
  /** Number of positions that predict a target, over all sequences. */
  readonly targets: number;
  readonly rank: number;
}

/**
 * Counts the products of a forward and backward pass that only trains LoRA matrices: gradients of the activations through
 * every linear layer, gradients of the adapters, but none of the weights. Attention counts whole score matrices. The
 * inputs of q, k and v in layer 0 come before the first adapter and need no gradient.
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
