/** Adapters as values: their digest, the zero adapter, and whether an adapter fits a package. */

import { createHash } from 'node:crypto';
import { HoneError } from '../errors.js';
import type { Adapter, AdapterTarget, AdapterTensor } from './types.js';

/**
 * SHA-256 (hex) over the canonical bytes of an adapter: `hone-adapter-1`, rank (u32), scale (f64), number of tensors
 * (u32), then for each tensor in the order of its name: length of the name (u32), the name in UTF-8, both dims (u32),
 * the values (f32). All little-endian.
 */
export function digestAdapter(adapter: Adapter): string {
  const hash = createHash('sha256').update('hone-adapter-1');
  const head = Buffer.alloc(16);
  head.writeUInt32LE(adapter.rank, 0);
  head.writeDoubleLE(adapter.scale, 4);
  head.writeUInt32LE(adapter.tensors.size, 12);
  hash.update(head);
  for (const name of [...adapter.tensors.keys()].sort()) {
    const { dims, data } = adapter.tensors.get(name) as AdapterTensor;
    const text = Buffer.from(name, 'utf8');
    const lengths = Buffer.alloc(12);
    lengths.writeUInt32LE(text.length, 0);
    lengths.writeUInt32LE(dims[0], 4);
    lengths.writeUInt32LE(dims[1], 8);
    hash.update(lengths.subarray(0, 4)).update(text).update(lengths.subarray(4));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** Makes the adapter that changes nothing, with A and B zero. It is version 0 and the reference of the KL term. */
export function zeroAdapter(targets: readonly AdapterTarget[], rank: number, scale: number): Adapter {
  const tensors = new Map<string, AdapterTensor>();
  for (const { module, inFeatures, outFeatures } of targets) {
    tensors.set(`${module}.lora_A`, { dims: [inFeatures, rank], data: new Float32Array(inFeatures * rank) });
    tensors.set(`${module}.lora_B`, { dims: [rank, outFeatures], data: new Float32Array(rank * outFeatures) });
  }
  return { rank, scale, tensors };
}

/** Returns the layers to which an adapter is attached. */
export function adapterTargets(adapter: Adapter): AdapterTarget[] {
  return [...adapter.tensors].flatMap(([name, { dims }]) => {
    if (!name.endsWith('.lora_A')) return [];
    const module = name.slice(0, -'.lora_A'.length);
    const outFeatures = adapter.tensors.get(`${module}.lora_B`)?.dims[1] ?? 0;
    return [{ module, inFeatures: dims[0], outFeatures }];
  });
}

/**
 * Checks that an adapter holds one A [in, rank] and one B [rank, out] per module and only finite numbers.
 * @throws HoneError `ADAPTER_INVALID`
 */
export function checkAdapter(adapter: Adapter): void {
  const { rank, scale, tensors } = adapter;
  if (!Number.isSafeInteger(rank) || rank < 1)
    throw invalid(`its rank is ${rank}; it must be a whole number of at least 1`);
  if (!Number.isFinite(scale)) throw invalid(`its scale is ${scale}; it must be finite`);
  for (const [name, { dims, data }] of tensors) {
    const match = /^(.+)\.lora_([AB])$/.exec(name);
    if (match === null) throw invalid(`${name} is neither <module>.lora_A nor <module>.lora_B`);
    const [, module, letter] = match;
    if (!tensors.has(`${module}.lora_${letter === 'A' ? 'B' : 'A'}`)) throw invalid(`${name} has no counterpart`);
    if (dims[letter === 'A' ? 1 : 0] !== rank || dims[0] * dims[1] !== data.length) {
      throw invalid(`${name} has shape [${dims}] and ${data.length} values at rank ${rank}`);
    }
    if (!data.every(Number.isFinite)) throw invalid(`${name} holds a value that is not finite`);
  }
}

/**
 * Checks that an adapter has the same layers as `model`, such as the package's zero adapter. Rank and scale may differ.
 * @throws HoneError `ADAPTER_MISMATCH`
 */
export function checkSameLayers(adapter: Adapter, model: Adapter): void {
  for (const name of new Set([...adapter.tensors.keys(), ...model.tensors.keys()])) {
    const found = adapter.tensors.get(name)?.dims;
    const wanted = model.tensors.get(name)?.dims;
    const side = name.endsWith('.lora_A') ? 0 : 1;
    if (found === undefined || wanted === undefined || found[side] !== wanted[side]) {
      throw new HoneError(
        'ADAPTER_MISMATCH',
        `the adapter was made for another model: ${name} is ${found ? `[${found}]` : 'absent'} in it and ` +
          `${wanted ? `[${wanted}]` : 'absent'} here`,
      );
    }
  }
}

function invalid(reason: string): HoneError {
  return new HoneError('ADAPTER_INVALID', `this is not a valid LoRA adapter: ${reason}`);
}
