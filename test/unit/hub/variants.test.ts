/** The forms of a model are found in listings of the shapes that real repositories have, and one is chosen for a memory. */

import { describe, expect, it } from 'vitest';
import { chooseVariant, findVariants } from '../../../src/hub/index.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
type Listing = Readonly<Record<string, number>>;

const tokenizerFiles = {
  'config.json': 700,
  'generation_config.json': 150,
  'tokenizer.json': 2 * MiB,
  'tokenizer_config.json': 3000,
};

/** transformers.js, version 3: all precisions of a 135M model, without external data. */
const transformersJs: Listing = {
  '.gitattributes': 1500,
  'README.md': 4000,
  ...tokenizerFiles,
  'merges.txt': 460_000,
  'onnx/model.onnx': 540 * MiB,
  'onnx/model_bnb4.onnx': 160 * MiB,
  'onnx/model_fp16.onnx': 270 * MiB,
  'onnx/model_int8.onnx': 137 * MiB,
  'onnx/model_q4.onnx': 170 * MiB,
  'onnx/model_q4f16.onnx': 118 * MiB,
  'onnx/model_quantized.onnx': 137 * MiB,
  'onnx/model_uint8.onnx': 137 * MiB,
  'quantize_config.json': 300,
};

/** onnx-community with external data in pieces, beside embeddings of a model with pictures. */
const externalData: Listing = {
  ...tokenizerFiles,
  'chat_template.jinja': 1000,
  'onnx/model.onnx': MiB,
  'onnx/model.onnx_data': 2 * GiB,
  'onnx/model.onnx_data_1': 1.9 * GiB,
  'onnx/model_q4.onnx': MiB,
  'onnx/model_q4.onnx_data': 700 * MiB,
  'onnx/model_q4f16.onnx': MiB,
  'onnx/model_q4f16.onnx_data': 600 * MiB,
  'onnx/vision_encoder.onnx': MiB,
};

/** Folders of ONNX Runtime GenAI, as Microsoft publishes them. */
const genaiFolders: Listing = {
  LICENSE: 1000,
  'config.json': 900,
  'cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/genai_config.json': 1600,
  'cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/model.onnx': 30 * MiB,
  'cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/model.onnx.data': 2.6 * GiB,
  'cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/tokenizer.json': 2 * MiB,
  'cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/tokenizer_config.json': 3000,
  'gpu/gpu-int4-rtn-block-32/genai_config.json': 1600,
  'gpu/gpu-int4-rtn-block-32/model.onnx': 30 * MiB,
  'gpu/gpu-int4-rtn-block-32/model.onnx.data': 2.1 * GiB,
};

/** A checkpoint in shards, with the older forms of the same weights beside it. */
const sharded: Listing = {
  ...tokenizerFiles,
  LICENSE: 1000,
  'USE_POLICY.md': 5000,
  'model-00001-of-00002.safetensors': 2 * GiB,
  'model-00002-of-00002.safetensors': GiB,
  'model.safetensors.index.json': 20_000,
  'original/consolidated.00.pth': 3 * GiB,
  'pytorch_model.bin': 3 * GiB,
  'tokenizer.model': 500_000,
};

const filesOf = (listing: Listing) => Object.entries(listing).map(([path, size]) => ({ path, size }));
const find = (listing: Listing) => findVariants(filesOf(listing));
const choose = (listing: Listing, memoryBytes: number, asked?: string) =>
  chooseVariant(find(listing), asked, { memoryBytes }, 'somebody/model');

describe('the forms of', () => {
  it.each([
    ['transformers.js', transformersJs, ['fp32', 'fp16', 'int8', 'uint8', 'quantized', 'q4', 'q4f16', 'bnb4']],
    ['external data', externalData, ['fp32', 'q4', 'q4f16']],
    ['GenAI folders', genaiFolders, ['cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4', 'gpu/gpu-int4-rtn-block-32']],
    ['a checkpoint', sharded, ['checkpoint']],
    [
      'a checkpoint with ONNX files',
      { ...sharded, ...transformersJs },
      ['fp32', 'fp16', 'int8', 'uint8', 'quantized', 'q4', 'q4f16', 'bnb4', 'checkpoint'],
    ],
    [
      'a root export of GenAI',
      { ...tokenizerFiles, 'genai_config.json': 1, 'model.onnx': 1, 'model.onnx.data': 2 },
      ['genai'],
    ],
    [
      'an older folder of GenAI',
      { 'a/genai_config.json': 1, 'a/phi3-cpu-int4.onnx': 1, 'a/phi3-cpu-int4.onnx.data': 2, 'a/tokenizer.json': 1 },
      ['a'],
    ],
    ['a GenAI model with pictures', { 'a/genai_config.json': 1, 'a/text.onnx': 1, 'a/vision.onnx': 2 }, []],
    ['a root export of Optimum', { ...tokenizerFiles, 'model.onnx': 1, 'model.onnx_data': 2 }, ['fp32']],
    ['a repository of one precision', { ...tokenizerFiles, 'onnx/model_q4f16.onnx': 1 }, ['q4f16']],
    [
      'a checkpoint that lacks a shard',
      { 'model.safetensors.index.json': 1, 'model-00001-of-00002.safetensors': 2 },
      [],
    ],
    ['other programs', { 'model-q4_k_m.gguf': 1, 'pytorch_model.bin': 2, 'onnx/encoder_model.onnx': 3 }, []],
  ] as const)('%s are found by their names', (_, listing, names) => {
    expect(find(listing).map(({ name }) => name)).toEqual(names);
  });

  it('external data are all of its pieces, and none of another form', () => {
    const [fp32] = find(externalData);
    expect(fp32?.weights.map(({ path }) => path)).toEqual([
      'onnx/model.onnx',
      'onnx/model.onnx_data',
      'onnx/model.onnx_data_1',
    ]);
    expect(fp32?.files.map(({ path }) => path)).toEqual([
      ...['onnx/model.onnx', 'onnx/model.onnx_data', 'onnx/model.onnx_data_1'],
      ...['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'],
    ]);
  });

  it('a folder of GenAI come with its own tokenizer and what lies in the root', () => {
    const [cpu] = find(genaiFolders);
    expect(cpu?.files.map(({ path }) => path.replace(/.*\//, ''))).toEqual([
      ...['model.onnx', 'model.onnx.data', 'LICENSE', 'config.json'],
      ...['genai_config.json', 'tokenizer.json', 'tokenizer_config.json'],
    ]);
  });

  it('a checkpoint are its shards with their index, and never pickles', () => {
    const [checkpoint] = find(sharded);
    expect(checkpoint?.modelFile).toBe('model.safetensors.index.json');
    const paths = checkpoint?.files.map(({ path }) => path) ?? [];
    expect(paths).toHaveLength(10);
    expect(paths.filter((path) => /bin$|pth$/.test(path))).toEqual([]);
    expect(paths).toContain('USE_POLICY.md');
  });
});

describe('the choice', () => {
  it.each([
    [4 * GiB, 'fp32', 'the most exact form'],
    [600 * MiB, 'int8', 'fp32 would take 540 MiB, fp16 would take 540 MiB'],
    [100 * MiB, 'int8', 'the smallest form, but'],
  ])('for a memory of %d bytes is %s, with the reason', (memory, name, reason) => {
    const choice = choose(transformersJs, memory);
    expect(choice.variant.name).toBe(name);
    expect(choice.reason).toContain(reason);
    expect(choice.fits).toBe(memory > 100 * MiB);
  });

  it.each([
    ['q8', 'quantized'],
    ['int8', 'int8'],
    ['FP16', 'fp16'],
    ['bnb4', 'bnb4'],
    ['float32', 'fp32'],
  ])('takes what is asked for: %s', (asked, name) => {
    expect(choose(transformersJs, 4 * GiB, asked)).toMatchObject({ variant: { name }, fits: true });
  });

  it('takes a folder by its last name, and the one for processors by itself', () => {
    expect(choose(genaiFolders, 64 * GiB).variant.name).toContain('cpu');
    expect(choose(genaiFolders, 64 * GiB, 'gpu-int4-rtn-block-32').variant.name).toBe('gpu/gpu-int4-rtn-block-32');
  });

  it('counts a checkpoint by its parameters and the bits that it is served with', () => {
    const variants = find(sharded);
    const fits = (memoryGiB: number, bits?: 8 | 4) =>
      chooseVariant(variants, undefined, { memoryBytes: memoryGiB * GiB, parameters: 1.5e9, bits }, 'a/b').fits;
    expect([fits(12), fits(10), fits(10, 8), fits(3, 8), fits(3, 4)]).toEqual([true, false, true, false, true]);
  });

  it('for fewer bits is the form that they are made from', () => {
    const listing = { ...transformersJs, 'model.safetensors': 270 * MiB };
    const of = (files: Listing, bits: 32 | 8 | 4) =>
      chooseVariant(find(files), undefined, { memoryBytes: GiB, bits }, 'a/b');
    expect(of(listing, 4)).toMatchObject({ variant: { name: 'checkpoint' }, fits: true });
    expect(of(transformersJs, 8)).toMatchObject({ variant: { name: 'fp32' }, fits: true });
    expect(of(listing, 4).reason).toMatch(/^for weights of 4 bits, which take about 77\.6 MiB/);
    expect(of(transformersJs, 32).variant.name).toBe('int8');
  });

  it('has nothing to take from a repository without a form that Hone reads', () => {
    expect(() => choose({ 'model.gguf': 1 }, GiB)).toThrow(/no form of a model that Hone reads/);
  });
});
