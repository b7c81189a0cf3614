/** Checkpoints of all families, converted and compared with PyTorch's logits (test/oracles/make_checkpoints.py). */

import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../src/conversion/index.js';
import { checkTrainable } from '../../../src/learner/engine/check-trainable.js';
import { readDecoder } from '../../../src/package/index.js';
import { findTrainableLinears } from '../../../src/package/trainable-linears.js';
import { type CheckpointCase, checkpoints, writeCheckpoint } from '../../oracles/checkpoints.js';
import { decodeLogits, ownLogits } from '../../support/conversion/logits.js';
import { temporaryFolder } from '../../support/folders.js';

const { ids, cases } = checkpoints;

describe.each(Object.entries(cases))('a checkpoint of %s', (_name, fixture) => {
  const folder = temporaryFolder();
  const modelPath = join(folder, 'package', 'onnx', 'model.onnx');
  let contextLength: number;

  beforeAll(async () => {
    await writeCheckpoint(join(folder, 'checkpoint'), fixture);
    const converted = await convertCheckpoint({
      directory: join(folder, 'checkpoint'),
      target: join(folder, 'package'),
      bits: 32,
    });
    contextLength = converted.contextLength;
  });

  it('has PyTorch’s logits in onnxruntime', async () => {
    expectLogits(await ownLogits(modelPath, ids), fixture);
  });

  it('has PyTorch’s logits in the decode variant, by a prompt and then token by token', async () => {
    expectLogits(await decodeLogits(modelPath, contextLength, ids), fixture, 5);
  });

  it('can be learned from', async () => {
    const graph = await readDecoder(modelPath);
    await checkTrainable(graph, modelPath, { engine: 'onnx' });
    expect(findTrainableLinears(graph).map(({ module }) => `${module}.weight`)).toEqual(
      expect.arrayContaining(
        Object.entries(fixture.tensors)
          .filter(([tensor, dims]) => dims.length === 2 && /\.\d+\./.test(tensor))
          .map(([tensor]) => tensor),
      ),
    );
  });
});

function expectLogits(all: readonly (Float32Array | undefined)[], { logits }: CheckpointCase, from = 0): void {
  let worst = 0;
  for (const [position, expected] of Object.entries(logits)) {
    if (Number(position) < from) continue;
    const actual = all[Number(position)] as Float32Array;
    for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - (actual[i] as number)));
  }
  expect(worst).toBeLessThan(1e-4);
}
