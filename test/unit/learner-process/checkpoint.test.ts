import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from '../../../src/learner/checkpoint.js';
import { temporaryDirectory } from '../replay/directory.js';

const checkpoint: Checkpoint = {
  state: {
    packageDigest: 'package',
    rank: 2,
    scale: 2,
    liveVersion: 3,
    liveDigest: 'live',
    candidateDigests: ['c1', 'c2'],
    sequence: 17,
    owedRows: 5,
    steps: 9,
    droppedSteps: 1,
    rounds: 2,
    optimizerStep: 8,
    baseline: [0.25, 0.5],
    reference: { version: 2, digest: 'r' },
    uses: [['g1', 2]],
  },
  parameters: new Map([['m.lora_A', { dims: [2, 2], data: Float32Array.of(1, 2, 3, 4) }]]),
  reference: new Map([['m.lora_A', { dims: [2, 2], data: Float32Array.of(5, 6, 7, 8) }]]),
  moments: new Map([['m.lora_A', { first: Float32Array.of(1, 0, 0, 1), second: Float32Array.of(4, 3, 2, 1) }]]),
};

test('a checkpoint comes back whole and leaves no other file', async () => {
  const path = join(temporaryDirectory(), 'checkpoint.safetensors');
  expect(await readCheckpoint(path)).toBeNull();
  await writeCheckpoint(path, { ...checkpoint, parameters: new Map() });
  await writeCheckpoint(path, checkpoint);
  expect(await readCheckpoint(path)).toEqual(checkpoint);
  expect(readdirSync(join(path, '..'))).toEqual(['checkpoint.safetensors']);
});

test('a checkpoint that was cut short or altered anywhere is refused', async () => {
  const path = join(temporaryDirectory(), 'checkpoint.safetensors');
  await writeCheckpoint(path, checkpoint);
  const whole = readFileSync(path);
  for (let length = 1; length < whole.length; length += 37) {
    writeFileSync(path, whole.subarray(0, length));
    await expect(readCheckpoint(path)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  }
  for (const at of [whole.indexOf('owedRows') + 11, whole.length - 1, whole.length - 17]) {
    const altered = Buffer.from(whole);
    altered[at] = (altered[at] as number) ^ 1;
    writeFileSync(path, altered);
    await expect(readCheckpoint(path)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  }
});
