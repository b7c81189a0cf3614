/** What a conversion refuses, how it goes on after an interruption, and its quantised forms. */

import { existsSync } from 'node:fs';
import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ConvertOptions, convertCheckpoint } from '../../../src/conversion/index.js';
import { readModel } from '../../../src/onnx/index.js';
import { findLinears, readDecoder } from '../../../src/package/index.js';
import { type CheckpointCase, checkpoints, writeCheckpoint } from '../../oracles/checkpoints.js';
import { decodeLogits, ownLogits } from '../../support/conversion/logits.js';
import { temporaryFolder } from '../../support/folders.js';

const { ids, cases } = checkpoints;
const llama = cases.llama as CheckpointCase;

interface Changes {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tensors?: Readonly<Record<string, readonly number[] | null>>;
  readonly options?: Partial<ConvertOptions>;
}

async function convert(fixture: CheckpointCase, { config = {}, tensors = {}, options = {} }: Changes = {}) {
  const folder = temporaryFolder();
  const directory = join(folder, 'checkpoint');
  await writeCheckpoint(directory, { ...fixture, config: { ...fixture.config, ...config } }, tensors);
  const target = join(folder, 'package');
  const converted = await convertCheckpoint({ directory, target, bits: 32, ...options });
  return { ...converted, directory, target, modelPath: join(target, 'onnx', 'model.onnx') };
}

describe('a checkpoint is refused', () => {
  it.each([
    ['an unknown family by its name', { model_type: 'mamba' }, /how a mamba computes.*gemma2.*llama/],
    ['an unknown field by its name', { altup_num_inputs: 4 }, /altup_num_inputs \(4\)/],
    [
      'an unknown scaling of positions',
      { rope_parameters: { rope_type: 'mrope', rope_theta: 1 } },
      /rope_type is mrope/,
    ],
    ['an unknown field of a scaling', { rope_parameters: { rope_type: 'linear', factor: 2, spin: 1 } }, /spin \(1\)/],
    ['an unknown activation', { hidden_act: 'xielu' }, /hidden_act is xielu/],
    ['quantised weights', { quantization_config: { quant_method: 'gptq' } }, /float checkpoint/],
    ['a number that is a text', { rms_norm_eps: '1e-5' }, /rms_norm_eps is "1e-5"/],
    [
      'heads that do not divide the width',
      { num_attention_heads: 5, head_dim: null },
      /num_attention_heads|num_key_value_heads/,
    ],
  ])('for %s', async (_what, config, message) => {
    await expect(convert(llama, { config })).rejects.toMatchObject({
      code: 'OPERATOR_UNSUPPORTED',
      message: expect.stringMatching(message),
    });
  });

  const query = 'model.layers.0.self_attn.q_proj.weight';
  it.each([
    ['a missing tensor by its name', { [query]: null }, /no tensor model\.layers\.0\.self_attn\.q_proj\.weight/],
    ['a tensor that nothing reads', { 'model.layers.0.mlp.extra.weight': [4, 4] }, /mlp\.extra\.weight/],
    ['a tensor of another shape', { [query]: [32, 31] }, /is \[32, 31\], but config\.json needs \[32, 32\]/],
  ])('for %s', async (_what, tensors, message) => {
    await expect(convert(llama, { tensors })).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('for a tied head in its files that is not the embedding', async () => {
    await expect(convert(cases.llama3 as CheckpointCase, { tensors: { 'lm_head.weight': [97, 32] } })).rejects.toThrow(
      /lm_head\.weight, which differs from model\.embed_tokens\.weight/,
    );
  });

  it('for a file that is cut off, and for one that stores a tensor over another', async () => {
    const folder = temporaryFolder();
    const run = (target: string) => convertCheckpoint({ directory: folder, target: join(folder, target), bits: 32 });
    await writeCheckpoint(folder, llama);
    const path = join(folder, 'model.safetensors');
    const whole = await readFile(path);
    await truncate(path, whole.length - 4);
    await expect(run('a')).rejects.toThrow(/model\.safetensors: has \d+ bytes, but tensor .* ends at/);
    const text = whole.toString('latin1');
    const [second] = /"data_offsets":\[12416,\d+\]/.exec(text) ?? [''];
    const moved = second.replace('12416', '12412').replace(/(\d+)\]$/, (_, end) => `${Number(end) - 4}]`);
    await writeFile(path, Buffer.from(text.replace(second, moved), 'latin1'));
    await expect(run('b')).rejects.toThrow(/stores tensor .* over another one/);
  });
});

describe('a conversion', () => {
  it('goes on behind the last whole weight, and ends with the same bytes', async () => {
    const { target: once, directory } = await convert(llama);
    const target = `${once}-2`;
    const stop = new AbortController();
    const onProgress = (done: number, all: number) => done > all / 2 && stop.abort();
    const options = { directory, target, bits: 32 } as const;
    await expect(convertCheckpoint({ ...options, signal: stop.signal, onProgress })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(existsSync(target)).toBe(false);
    // The crash of a machine leaves a torn end and an entry without its bytes.
    const data = join(`${target}.partial`, 'onnx', 'model.onnx_data');
    await appendFile(data, 'torn');
    const journal = join(`${target}.partial`, 'journal.jsonl');
    await appendFile(journal, '{"weight":"model.layers.1');
    const resumed = await convertCheckpoint(options);
    expect(resumed.resumedBytes).toBeGreaterThan(resumed.bytes / 3);
    for (const file of ['onnx/model.onnx', 'onnx/model.onnx_data', 'config.json']) {
      expect(await readFile(join(target, file))).toEqual(await readFile(join(once, file)));
    }
  });

  it('begins again after an interruption if the options or a byte of its file differ', async () => {
    const { target: once, directory } = await convert(llama);
    for (const spoil of [true, false]) {
      const target = `${once}-${spoil}`;
      const stop = new AbortController();
      const onProgress = (done: number, all: number) => done > all / 2 && stop.abort();
      await convertCheckpoint({ directory, target, bits: 32, signal: stop.signal, onProgress }).catch(() => {});
      const data = join(`${target}.partial`, 'onnx', 'model.onnx_data');
      if (spoil) await writeFile(data, (await readFile(data)).fill(1, 100, 101));
      const resumed = await convertCheckpoint({ directory, target, bits: spoil ? 32 : 8 });
      expect(resumed.resumedBytes).toBe(0);
    }
  });

  it('refuses a target that exists', async () => {
    const { directory, target } = await convert(llama);
    await expect(convertCheckpoint({ directory, target, bits: 32 })).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  it('writes a config.json with the served context and the sizes under the names that Hone reads', async () => {
    const { target, contextLength } = await convert(cases.gpt2 as CheckpointCase, { options: { contextLength: 40 } });
    expect(contextLength).toBe(40);
    expect(JSON.parse(await readFile(join(target, 'config.json'), 'utf8'))).toMatchObject({
      model_type: 'gpt2',
      hidden_size: 32,
      num_hidden_layers: 2,
      num_key_value_heads: 4,
      max_position_embeddings: 40,
    });
  });

  it.each([
    ['llama', 8, true],
    ['llama', 4, false],
    ['llama3', 8, true],
    ['gpt2', 8, true],
  ] as const)(
    'of %s to %i bits keeps modules and, nearly, the logits (head in codes: %s)',
    async (name, bits, head) => {
      const fixture = cases[name] as CheckpointCase;
      const { modelPath } = await convert(fixture, { options: { bits, head } });
      const { nodes, initializers } = await readModel(modelPath);
      expect(nodes.some(({ op }) => op === 'GatherBlockQuantized')).toBe(head);
      expect([...initializers.keys()].filter((key) => key.endsWith(`.0.mlp.down_proj.weight_Q${bits}`))).toHaveLength(
        name === 'gpt2' ? 0 : 1,
      );
      const linears = findLinears(await readDecoder(modelPath)).map(({ module }) => `${module}.weight`);
      for (const module of linears) expect(Object.keys(fixture.tensors)).toContain(module);
      const own = await ownLogits(modelPath, ids);
      const decoded = await decodeLogits(modelPath, 64, ids);
      const expected = fixture.logits[25] as readonly number[];
      const bound = bits === 8 ? 0.15 : 1.5;
      for (const [i, value] of expected.entries()) {
        expect(Math.abs((own[25]?.[i] as number) - value)).toBeLessThan(bound);
        expect(Math.abs((decoded[25]?.[i] as number) - value)).toBeLessThan(bound);
      }
    },
  );

  it('finds the tensors of a bare model, whose names lack the path of the model', async () => {
    const { config, tensors, ...rest } = cases.gpt2 as CheckpointCase;
    const bare = Object.fromEntries(
      Object.entries(tensors).map(([key, dims]) => [key.replace('transformer.', ''), dims]),
    );
    const { modelPath } = await convert({ ...rest, config, tensors: bare }, { tensors: { 'h.0.attn.bias': [64, 64] } });
    expect((await readModel(modelPath)).initializers.has('transformer.h.0.attn.c_attn.weight')).toBe(true);
  });

  it.each(['language_model.model', 'model.language_model'])(
    'takes the decoder out of a Gemma 3 that sees, at %s',
    async (at) => {
      const { config, tensors, ...rest } = cases.gemma3 as CheckpointCase;
      const { modelPath, target } = await convert({
        ...rest,
        config: {
          model_type: 'gemma3',
          text_config: config,
          vision_config: { hidden_size: 8 },
          mm_tokens_per_image: 4,
        },
        tensors: {
          ...Object.fromEntries(Object.entries(tensors).map(([key, dims]) => [key.replace(/^model/, at), dims])),
          [`${at.includes('.model') ? '' : 'model.'}vision_tower.embeddings.weight`]: [8, 8],
        },
      });
      expect((await readModel(modelPath)).initializers.has('model.language_model.layers.0.mlp.up_proj.weight')).toBe(
        true,
      );
      expect(JSON.parse(await readFile(join(target, 'config.json'), 'utf8'))).toMatchObject({
        head_dim: 16,
        vocab_size: 97,
      });
    },
  );
});
