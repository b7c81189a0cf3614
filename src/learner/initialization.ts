/** Trainable parameters: their first values, and their conversion from and to adapters. */

import { HoneError } from '../errors.js';
import { type Adapter, type AdapterTarget, zeroAdapter } from '../versions/index.js';
import { createRandom } from './random.js';
import type { LearnerSettings, Parameters } from './types.js';

/**
 * A ~ U(-1/sqrt(in), 1/sqrt(in)) as in PEFT (Kaiming with a = sqrt 5), and B = 0: the policy still is the reference,
 * and the gradient of B is not zero. If A were 0 too, both gradients would be zero for ever.
 */
export function initialParameters(targets: readonly AdapterTarget[], rank: number, seed: number): Parameters {
  const random = createRandom(seed);
  const parameters = toParameters(zeroAdapter(targets, rank, 1));
  for (const { module, inFeatures } of targets) {
    const bound = 1 / Math.sqrt(inFeatures);
    const data = parameters.get(`${module}.lora_A`)?.data ?? new Float32Array();
    for (let i = 0; i < data.length; i++) data[i] = (2 * random() - 1) * bound;
  }
  return parameters;
}

/**
 * Parameters that compute what an adapter computes, at another rank and scale. The ratio of the scales is multiplied
 * into B. Ranks and layers that the adapter lacks begin as in {@link initialParameters}.
 * @throws HoneError `ADAPTER_MISMATCH` if the adapter's rank is larger
 */
export function parametersFrom(
  adapter: Adapter,
  targets: readonly AdapterTarget[],
  { rank, scale, seed }: Pick<LearnerSettings, 'rank' | 'scale' | 'seed'>,
): Parameters {
  if (adapter.rank > rank) {
    throw new HoneError(
      'ADAPTER_MISMATCH',
      `the live adapter has rank ${adapter.rank}, the learner is set to ${rank}; set the learner to the adapter's, or ` +
        'roll back to a version without one',
    );
  }
  const parameters = initialParameters(targets, rank, seed);
  const factor = adapter.scale / scale;
  const theirs = (name: string): Float32Array => adapter.tensors.get(name)?.data ?? new Float32Array();
  const mine = (name: string): Float32Array => parameters.get(name)?.data ?? new Float32Array();
  for (const { module, inFeatures, outFeatures } of targets) {
    const [a, b] = [theirs(`${module}.lora_A`), theirs(`${module}.lora_B`)];
    const [newA, newB] = [mine(`${module}.lora_A`), mine(`${module}.lora_B`)];
    for (let k = 0; k < adapter.rank; k++) {
      const row = b.subarray(k * outFeatures, (k + 1) * outFeatures);
      const column = Float32Array.from({ length: inFeatures }, (_, i) => a[i * adapter.rank + k] as number);
      // If both were zero, their gradients would be zero for ever: keep the random start.
      if (row.every(isZero) && column.every(isZero)) continue;
      for (let i = 0; i < inFeatures; i++) newA[i * rank + k] = column[i] as number;
      for (let j = 0; j < outFeatures; j++) newB[k * outFeatures + j] = factor * (row[j] as number);
    }
  }
  return parameters;
}

function isZero(value: number): boolean {
  return value === 0;
}

/** Copies of an adapter's matrices, ready to be trained. */
export function toParameters(adapter: Adapter): Parameters {
  return new Map([...adapter.tensors].map(([name, { dims, data }]) => [name, { dims, data: data.slice() }]));
}

/** A copy of the parameters as an adapter. */
export function toAdapter(parameters: Parameters, rank: number, scale: number): Adapter {
  return {
    rank,
    scale,
    tensors: new Map(
      [...parameters].map(([name, { dims, data }]) => [
        name,
        { dims: [dims[0] ?? 0, dims[1] ?? 0] as const, data: data.slice() },
      ]),
    ),
  };
}
