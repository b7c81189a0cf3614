/** The check of a package's graph refuses what the engines themselves refuse, for the same reason. */

import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkTrainable } from '../../../../src/learner/engine/check-trainable.js';
import type { EngineName } from '../../../../src/learner/engine/names.js';
import { createOnnxEngine } from '../../../../src/learner/index.js';
import { encodeModel, type Graph, readModel } from '../../../../src/onnx/index.js';
import { loadPackage, readDecoder } from '../../../../src/package/index.js';
import { temporaryFolder } from '../../../support/folders.js';
import { type QuantizedFolders, quantizeForTest } from '../../../support/quantized.js';
import { tinyDirectory } from '../../../support/tiny.js';
import { unlearnableDecoders } from '../../../support/unlearnable-decoders.js';

let directory: string;
let modelPath: string;
let quantized: QuantizedFolders;

beforeAll(async () => {
  directory = join(temporaryFolder(), 'tiny');
  modelPath = join(directory, 'onnx/model.onnx');
  await cp(tinyDirectory, directory, { recursive: true });
  quantized = await quantizeForTest(tinyDirectory, { bits: 4, blockSize: 16 });
});

async function write(apply: (graph: Graph) => void, from = tinyDirectory): Promise<void> {
  const graph = await readModel(join(from, 'onnx/model.onnx'));
  apply(graph);
  graph.prune();
  await writeFile(modelPath, encodeModel(graph));
}

async function check(engine: EngineName = 'onnx'): Promise<void> {
  await checkTrainable(await readDecoder(modelPath), modelPath, { engine });
}

const engineOf = (packageDirectory: string) => createOnnxEngine({ packageDirectory, rank: 2, scale: 1, threads: 1 });

describe.each(unlearnableDecoders)('a decoder with $name', ({ apply, mentions, code }) => {
  test('serves', async () => {
    await write(apply);
    await expect(loadPackage(directory)).resolves.toMatchObject({ name: 'tiny' });
  });

  test('is refused by the check before a learner starts', async () => {
    await write(apply);
    const error = await check().then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ name: 'HoneError', code });
    expect(error.message).toContain(modelPath);
    for (const words of mentions) expect(error.message).toContain(words);
  });

  test('is refused by the engine for the same reason', async () => {
    await write(apply);
    await expect(engineOf(directory)).rejects.toMatchObject({ code });
  });
});

describe('a decoder that can be trained', () => {
  test('passes the check in float32 and quantised, for both engines', async () => {
    await write(() => undefined);
    await check('onnx');
    await check('tfjs');
    await write(() => undefined, quantized.quantized);
    await check('onnx');
    await check('tfjs');
  });

  test('is not changed by the check, which decodes no quantised weight', async () => {
    const decoder = await readDecoder(join(quantized.quantized, 'onnx/model.onnx'));
    const [before, nodes] = [[...decoder.initializers.keys()], decoder.nodes.map(({ op }) => op)];
    await checkTrainable(decoder, modelPath, { engine: 'onnx' });
    expect([...decoder.initializers.keys()]).toEqual(before);
    expect(decoder.nodes.map(({ op }) => op)).toEqual(nodes);
  });
});

test('quantised products with computed scales are refused, with what to do', async () => {
  await write((graph) => {
    const node = graph.nodes.find(({ op, inputs }) => op === 'MatMulNBits' && inputs[1]?.includes('.layers.'));
    if (node === undefined) throw new Error('the package has no quantised layer');
    const [input, codes, scales] = node.inputs as [string, string, string];
    graph.replaceNode(node, [{ ...node, inputs: [input, codes, graph.add('Identity', [scales])] }]);
  }, quantized.quantized);
  await expect(check()).rejects.toMatchObject({
    code: 'MODEL_NOT_TRAINABLE',
    message: expect.stringMatching(/MatMulNBits .* as a value that is computed.*hone quantize.*--learner off/),
  });
});

test('for the tfjs engine, the check looks for the operators of that engine', async () => {
  await write(unlearnableDecoders.find(({ name }) => name === 'Softplus')?.apply ?? (() => undefined));
  await expect(check('tfjs')).rejects.toMatchObject({
    code: 'OPERATOR_UNSUPPORTED',
    message: expect.stringMatching(/tfjs engine has no operator Softplus .*--learner off/),
  });
});
