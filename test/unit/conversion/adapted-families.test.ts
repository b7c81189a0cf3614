/** Adapters on checkpoints of all families compute and learn what PEFT does (test/oracles/make_adapted_checkpoints.py). */

import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { convertCheckpoint } from '../../../src/conversion/index.js';
import { createOnnxEngine } from '../../../src/learner/index.js';
import { readDecoder } from '../../../src/package/index.js';
import { findTrainableLinears } from '../../../src/package/trainable-linears.js';
import type { Adapter, AdapterTarget } from '../../../src/versions/index.js';
import {
  type AdaptedCase,
  adaptedCheckpoints,
  type CheckpointCase,
  checkpoints,
  madeValues,
  writeCheckpoint,
} from '../../oracles/checkpoints.js';
import { decodeLogits } from '../../support/conversion/logits.js';
import { temporaryFolder } from '../../support/folders.js';

const { ids } = checkpoints;
const { rank, alpha, firstTarget } = adaptedCheckpoints;
const scale = alpha / rank;

describe.each(Object.entries(checkpoints.cases))(
  'an adapter on a checkpoint of %s',
  (name, fixture: CheckpointCase) => {
    const expected = adaptedCheckpoints.cases[name] as AdaptedCase;
    const folder = temporaryFolder();
    const target = join(folder, 'package');
    const modelPath = join(target, 'onnx', 'model.onnx');
    let contextLength: number;
    let adapter: Adapter;

    beforeAll(async () => {
      await writeCheckpoint(join(folder, 'checkpoint'), fixture);
      ({ contextLength } = await convertCheckpoint({ directory: join(folder, 'checkpoint'), target, bits: 32 }));
      adapter = madeAdapter(findTrainableLinears(await readDecoder(modelPath)));
    });

    it('has PEFT’s names of matrices', () => {
      expect([...adapter.tensors.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
    });

    it('gives PEFT’s logits in the decode variant', async () => {
      const all = await decodeLogits(modelPath, contextLength, ids, 5, adapter);
      for (const [position, logits] of Object.entries(expected.logits)) {
        expect(difference(all[Number(position)] as Float32Array, logits), position).toBeLessThan(2e-4);
      }
    });

    it('has PEFT’s gradients, with two completions packed behind one prompt', async () => {
      const engine = await createOnnxEngine({ packageDirectory: target, rank, scale, threads: 1 });
      onTestFinished(() => engine.close());
      const row = { promptTokens: ids.slice(0, firstTarget), completionTokens: ids.slice(firstTarget) };
      // The weights are those of one completion, a part of it by each of the two.
      const form = { constants: [0.25, 0.75] };
      const { logprobs, gradients } = await engine.differentiate([row, row], form, new Map(adapter.tensors));
      for (const logprob of logprobs) expect(logprob).toBeCloseTo(expected.logprob, 2);
      const names = Object.keys(expected.gradients);
      const ours = names.map((matrix) => -probe(matrix, gradients.get(matrix) as Float32Array));
      const theirs = Object.values(expected.gradients);
      expect(difference(ours, theirs)).toBeLessThan(2e-4 * Math.max(...theirs.map(Math.abs)));
    });
  },
);

function madeAdapter(targets: readonly AdapterTarget[]): Adapter {
  const tensors = new Map<string, { dims: [number, number]; data: Float32Array }>();
  for (const { module, inFeatures, outFeatures } of targets) {
    for (const [matrix, rows, columns] of [
      [`${module}.lora_A`, inFeatures, rank],
      [`${module}.lora_B`, rank, outFeatures],
    ] as const) {
      const data = transposed(madeValues(matrix, rows * columns), columns).map((value) => value * 0.25);
      tensors.set(matrix, { dims: [rows, columns], data });
    }
  }
  return { rank, scale, tensors };
}

/** The gradient of a matrix times the numbers of its name. PEFT stores the transposes of Hone's matrices. */
function probe(matrix: string, gradient: Float32Array): number {
  const columns = matrix.endsWith('.lora_A') ? rank : gradient.length / rank;
  const factors = transposed(madeValues(`gradient of ${matrix}`, gradient.length), columns);
  return gradient.reduce((sum, value, i) => sum + value * (factors[i] as number), 0);
}

/** The transpose of a matrix with this number of rows. */
function transposed(matrix: Float32Array, rows: number): Float32Array {
  const columns = matrix.length / rows;
  return Float32Array.from(matrix, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)] as number);
}

function difference(ours: ArrayLike<number>, theirs: readonly number[]): number {
  return theirs.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (ours[i] ?? Number.NaN))), 0);
}
