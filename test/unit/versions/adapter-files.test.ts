import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkSameLayers,
  decodePeft,
  decodeSafeTensors,
  digestAdapter,
  encodeSafeTensors,
  readAdapter,
  writeAdapter,
  zeroAdapter,
} from '../../../src/versions/index.js';
import { meta, someAdapter, targets, zero } from '../../support/adapters.js';
import { temporaryFolder } from '../../support/folders.js';

test('an adapter is read back from its files as it was written, with the same digest', async () => {
  const directory = join(temporaryFolder(), 'candidates', '1');
  const adapter = someAdapter(1);
  const digest = await writeAdapter(directory, adapter, meta);
  const read = await readAdapter(directory);
  expect(read.adapter).toEqual(adapter);
  expect(read.digest).toBe(digest);
  expect(read.meta).toEqual({ ...meta, metrics: { steps: 8 } });
  expect(readdirSync(join(directory, '..'))).toEqual(['1']);
});

test('the files have the layout of PEFT: its names, transposed matrices, its configuration', async () => {
  const directory = join(temporaryFolder(), '1');
  const adapter = someAdapter(2);
  await writeAdapter(directory, adapter, meta);
  const { tensors } = decodeSafeTensors(readFileSync(join(directory, 'adapter_model.safetensors')));
  const a = tensors.get('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight');
  const b = tensors.get('base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight');
  expect(a?.dims).toEqual([2, 6]);
  expect(b?.dims).toEqual([4, 2]);
  const ours = adapter.tensors.get('model.layers.0.self_attn.q_proj.lora_A');
  expect(a?.data[1 * 6 + 5]).toBe(ours?.data[5 * 2 + 1]);
  expect(JSON.parse(readFileSync(join(directory, 'adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: 2,
    lora_alpha: 3.4,
    bias: 'none',
    fan_in_fan_out: false,
    base_model_name_or_path: 'tldr',
    target_modules: ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'],
  });
});

test('the digest depends on values, scale, rank and names, but not on the order of the tensors', () => {
  const adapter = someAdapter(3);
  const digest = digestAdapter(adapter);
  expect(digestAdapter({ ...adapter, tensors: new Map([...adapter.tensors].reverse()) })).toBe(digest);
  const others = [
    someAdapter(4),
    { ...adapter, scale: 2 },
    { ...adapter, rank: 3 },
    { ...adapter, tensors: new Map([...adapter.tensors].map(([name, tensor]) => [`x${name}`, tensor])) },
    zero,
  ].map(digestAdapter);
  expect(new Set([digest, ...others]).size).toBe(6);
});

test('the digest of the zero adapter is fixed, because versions of other builds are compared with it', () => {
  expect(digestAdapter(zeroAdapter([{ module: 'm', inFeatures: 2, outFeatures: 3 }], 1, 2))).toBe(
    'eac26133c52718da85134067f5c17297f476e00c1102e051805c86afd6691277',
  );
});

test.each(['adapter_model.safetensors', 'adapter_config.json', 'version.json'])(
  'an adapter whose %s is cut short is refused',
  async (name) => {
    const directory = join(temporaryFolder(), '1');
    await writeAdapter(directory, someAdapter(5), meta);
    const path = join(directory, name);
    truncateSync(path, readFileSync(path).length - 9);
    await expect(readAdapter(directory)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  },
);

test('reading an adapter with one changed bit throws', async () => {
  const directory = join(temporaryFolder(), '1');
  await writeAdapter(directory, someAdapter(6), meta);
  const path = join(directory, 'adapter_model.safetensors');
  const bytes = readFileSync(path);
  bytes[bytes.length - 8] = (bytes[bytes.length - 8] as number) ^ 1;
  writeFileSync(path, bytes);
  await expect(readAdapter(directory)).rejects.toThrow(/digest/);
});

test('an adapter with a value that is not finite is neither written nor read', async () => {
  const adapter = someAdapter(7);
  const tensor = adapter.tensors.get('model.layers.0.self_attn.q_proj.lora_B');
  if (tensor) tensor.data[0] = Number.NaN;
  await expect(writeAdapter(join(temporaryFolder(), '1'), adapter, meta)).rejects.toMatchObject({
    code: 'ADAPTER_INVALID',
  });
});

test('writing over an existing adapter is refused and leaves it unchanged', async () => {
  const directory = join(temporaryFolder(), '1');
  const digest = await writeAdapter(directory, someAdapter(8), meta);
  await expect(writeAdapter(directory, someAdapter(9), meta)).rejects.toThrow();
  expect((await readAdapter(directory)).digest).toBe(digest);
  expect(readdirSync(join(directory, '..'))).toEqual(['1']);
});

test('checkSameLayers refuses an adapter for other layers, but not another rank', () => {
  checkSameLayers(someAdapter(1, zeroAdapter(targets, 4, 1)), zero);
  expect(() => checkSameLayers(zeroAdapter(targets.slice(1), 2, 1.7), zero)).toThrow(/q_proj/);
});

test('reading an unsupported kind of PEFT adapter throws, with its name', () => {
  expect(() => decodePeft(new Uint8Array(), { peft_type: 'IA3' })).toThrow(/IA3/);
  expect(() => decodePeft(new Uint8Array(), { peft_type: 'LORA', r: 2, lora_alpha: 2, use_rslora: true })).toThrow(
    /rslora/,
  );
});

test('reading bytes that are no safetensors file throws', () => {
  const tensors = new Map([
    ['a', { dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ['b', { dims: [0, 4], data: new Float32Array() }],
  ]);
  const good = encodeSafeTensors(tensors, { format: 'pt' });
  expect(decodeSafeTensors(good)).toEqual({ tensors, metadata: { format: 'pt' } });
  const refused = expect.objectContaining({ code: 'ADAPTER_INVALID' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(() => decodeSafeTensors(bytes)).toThrow(refused);
    }),
    { seed: 11 },
  );
  fc.assert(
    fc.property(fc.nat(good.length - 1), (length) => {
      expect(() => decodeSafeTensors(good.subarray(0, length))).toThrow(refused);
    }),
    { seed: 12 },
  );
});

test.each([
  [
    'overlapping',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
  ],
  ['leaving a gap', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'],
  ['of another type', '{"a":{"dtype":"I16","shape":[4],"data_offsets":[0,8]}}'],
  ['with a negative size', '{"a":{"dtype":"F32","shape":[-2,-1],"data_offsets":[0,8]}}'],
  ['beyond the file', '{"a":{"dtype":"F32","shape":[400],"data_offsets":[0,1600]}}'],
  ['not described', '{"a":"x"}'],
])('reading a safetensors header with tensors %s throws', (_, header) => {
  const bytes = Buffer.alloc(8 + header.length + 8);
  bytes.writeBigUInt64LE(BigInt(header.length));
  bytes.write(header, 8);
  expect(() => decodeSafeTensors(bytes)).toThrow(expect.objectContaining({ code: 'ADAPTER_INVALID' }));
});
