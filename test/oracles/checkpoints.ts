/** Writes the checkpoints of `checkpoints/families.json` as files; `make_checkpoints.py` made the same in PyTorch. */

import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

export interface CheckpointCase {
  readonly config: Readonly<Record<string, unknown>>;
  /** The element type of all tensors by its name in safetensors. */
  readonly type: 'F32' | 'F16' | 'BF16';
  /** Number of files; more than one come with an index. */
  readonly files: number;
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  /** PyTorch's logits after some of the tokens, by position. */
  readonly logits: Readonly<Record<string, readonly number[]>>;
}

interface Fixture {
  readonly ids: readonly number[];
  readonly cases: Readonly<Record<string, CheckpointCase>>;
}

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

export const checkpoints: Fixture = JSON.parse(
  readFileSync(join(root, 'test/oracles/checkpoints/families.json'), 'utf8'),
);

/** What PEFT computes with an adapter on the same checkpoint (test/oracles/make_adapted_checkpoints.py). */
export interface AdaptedCase {
  /** Logits after some of the tokens, by position. */
  readonly logits: Readonly<Record<string, readonly number[]>>;
  /** Sum of the log-probabilities of the tokens from `firstTarget` on. */
  readonly logprob: number;
  /** Its gradient with respect to each matrix, times the numbers that {@link madeValues} makes of the matrix's name. */
  readonly gradients: Readonly<Record<string, number>>;
}

interface AdaptedFixture {
  readonly rank: number;
  readonly alpha: number;
  readonly firstTarget: number;
  readonly cases: Readonly<Record<string, AdaptedCase>>;
}

export const adaptedCheckpoints: AdaptedFixture = JSON.parse(
  readFileSync(join(root, 'test/oracles/checkpoints/adapted.json'), 'utf8'),
);

/** Writes a case into an existing or new folder. Tensors may be added, replaced or (null) left out. */
export async function writeCheckpoint(
  folder: string,
  { config, type, files, tensors }: CheckpointCase,
  changes: Readonly<Record<string, readonly number[] | null>> = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const entries = Object.entries({ ...tensors, ...changes }).filter((entry) => entry[1] !== null) as [
    string,
    readonly number[],
  ][];
  if (files === 1) return writeFile(join(folder, 'model.safetensors'), encode(entries, type));
  const perFile = Math.ceil(entries.length / files);
  const map: Record<string, string> = {};
  for (let i = 0; i < files; i++) {
    const name = `model-${String(i + 1).padStart(5, '0')}-of-${String(files).padStart(5, '0')}.safetensors`;
    const part = entries.slice(i * perFile, (i + 1) * perFile);
    for (const [tensor] of part) map[tensor] = name;
    await writeFile(join(folder, name), encode(part, type));
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
}

function encode(tensors: readonly [string, readonly number[]][], type: CheckpointCase['type']): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const data: Uint8Array[] = [];
  let at = 0;
  for (const [name, shape] of tensors) {
    const bytes = encodeValues(weight(name, shape, type), type);
    header[name] = { dtype: type, shape, data_offsets: [at, at + bytes.byteLength] };
    data.push(bytes);
    at += bytes.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...data]);
}

function weight(name: string, shape: readonly number[], type: CheckpointCase['type']): Float32Array {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const base = shape.length === 1 && name.endsWith('weight') ? 1 : 0;
  const spread = Math.fround(shape.length > 1 ? 0.35 : 0.3);
  return madeValues(name, count).map((made) => {
    const value = Math.fround(base + Math.fround(made * spread));
    return type === 'F16' ? Math.floor(value * 512) / 512 : value;
  });
}

/** Returns numbers in [-1, 1) that depend on the name, as `values` of `make_checkpoints.py` does. */
export function madeValues(name: string, count: number): Float32Array {
  const seed = crc32(name);
  return Float32Array.from({ length: count }, (_, i) => {
    let x = (Math.imul(i, 2_654_435_761) + seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x45d9f3b) >>> 0;
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) >>> 0;
    x = (x ^ (x >>> 16)) >>> 0;
    return x / 2 ** 31 - 1;
  });
}

function encodeValues(values: Float32Array, type: CheckpointCase['type']): Uint8Array {
  const bits = new Uint32Array(values.buffer);
  if (type === 'F32') return new Uint8Array(values.buffer);
  const halves = Uint16Array.from(bits, (whole, i) => {
    if (type === 'BF16') return whole >>> 16;
    // The values are 0 or normal numbers of float16, with few enough digits.
    if (values[i] === 0) return 0;
    return ((whole >>> 16) & 0x8000) | ((((whole >>> 23) & 0xff) - 112) << 10) | ((whole >>> 13) & 0x3ff);
  });
  return new Uint8Array(halves.buffer);
}
