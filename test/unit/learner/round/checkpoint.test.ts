import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCheckpoint, writeCheckpoint } from '../../../../src/learner/round/checkpoint.js';
import { temporaryFolder } from '../../../support/folders.js';
import { checkpoint } from '../../../support/learner/checkpoints.js';

test('a checkpoint comes back whole and leaves no other file', async () => {
  const path = join(temporaryFolder(), 'checkpoint.safetensors');
  expect(await readCheckpoint(path)).toBeNull();
  await writeCheckpoint(path, { ...checkpoint, parameters: new Map() });
  await writeCheckpoint(path, checkpoint);
  expect(await readCheckpoint(path)).toEqual(checkpoint);
  expect(readdirSync(join(path, '..'))).toEqual(['checkpoint.safetensors']);
});

test('a checkpoint that was cut short or altered at any byte is refused', async () => {
  const path = join(temporaryFolder(), 'checkpoint.safetensors');
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
