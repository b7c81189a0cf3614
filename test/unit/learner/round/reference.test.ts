import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkLearnerSettings } from '../../../../src/learner/index.js';
import { TrainingState } from '../../../../src/learner/round/training-state.js';
import { type Adapter, digestAdapter, writeAdapter, zeroAdapter } from '../../../../src/versions/index.js';
import { temporaryFolder } from '../../../support/folders.js';

const targets = [{ module: 'm', inFeatures: 2, outFeatures: 3 }];

const zeroDigest = digestAdapter(zeroAdapter(targets, 2, 2));

/** An adapter whose B holds one number, in a folder of its own. */
async function adapterFile(value: number): Promise<readonly [path: string, digest: string]> {
  const adapter: Adapter = zeroAdapter(targets, 2, 2);
  for (const [name, { data }] of adapter.tensors) data.fill(name.endsWith('lora_B') ? value : 1);
  const directory = join(temporaryFolder(), `adapter-${value}`);
  const digest = await writeAdapter(directory, adapter, {
    packageDigest: 'p',
    baseModel: 'base',
    parent: null,
    createdAtMs: 0,
    metrics: {},
  });
  return [directory, digest];
}

function trainee(referenceEvery: number): TrainingState {
  return new TrainingState(
    { targets, promptFeatures: async () => [] },
    checkLearnerSettings({ rank: 2, scale: 2, referenceEvery }),
  );
}

const referenceB = (of: TrainingState): number | undefined => of.reference.parameters.get('m.lora_B')?.data[0];

test('version 0 stays the reference unless it is told to move', async () => {
  const learner = trainee(0);
  await learner.follow(0, null, zeroDigest, false);
  await learner.follow(9, ...(await adapterFile(9)), false);
  expect(referenceB(learner)).toBe(0);
});

test('the live version becomes the reference every `referenceEvery` versions, and stays it after a restart', async () => {
  const learner = trainee(3);
  await learner.follow(0, null, zeroDigest, false);
  const before = learner.reference.digest;
  await learner.follow(2, ...(await adapterFile(2)), false);
  expect(referenceB(learner)).toBe(0);
  const third = await adapterFile(3);
  await learner.follow(3, ...third, false);
  expect(referenceB(learner)).toBe(3);
  expect(learner.reference.digest).not.toBe(before);
  await learner.follow(5, ...(await adapterFile(5)), false);
  expect(referenceB(learner)).toBe(3);

  const { state, ...tensors } = learner.state();
  const rest = { packageDigest: 'p', sequence: 0, owedRows: 0, steps: 0, droppedSteps: 0, rounds: 0, uses: [] };
  const again = trainee(3);
  await again.follow(5, ...(await adapterFile(5)), false, { state: { ...rest, ...state }, ...tensors });
  expect(referenceB(again)).toBe(3);
  expect(again.reference.digest).toBe(learner.reference.digest);
  await again.follow(6, ...(await adapterFile(6)), false);
  expect(referenceB(again)).toBe(6);
});

test('a rollback takes the reference back with the weights', async () => {
  const learner = trainee(2);
  await learner.follow(0, null, zeroDigest, false);
  await learner.follow(2, ...(await adapterFile(2)), false);
  await learner.follow(3, ...(await adapterFile(1)), true);
  expect(referenceB(learner)).toBe(1);
});
