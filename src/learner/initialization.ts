/** Trainable parameters: where they start, and their way into and out of adapters. */

import { type Adapter, type AdapterTarget, zeroAdapter } from '../versions/index.js';
import { createRandom } from './random.js';
import type { Parameters } from './types.js';

/**
 * A ~ U(-1/sqrt(in), 1/sqrt(in)) as in PEFT (Kaiming with a = sqrt 5), B = 0: the policy is still the reference, and the
 * gradient of B is not zero. With A = 0 too nothing would ever move.
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

/** Copies of an adapter's matrices, to be trained. */
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
