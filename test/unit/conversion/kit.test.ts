/** Checkpoints of a kit of models, converted, against the tokens and log-probabilities of PyTorch. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../src/conversion/index.js';
import { decodeLogits, ownLogits } from '../../support/conversion/logits.js';
import { temporaryFolder } from '../../support/folders.js';

const kit = process.env.HONE_KIT ?? '';
const families = existsSync(kit)
  ? readdirSync(kit).filter((family) => existsSync(join(kit, family, 'checkpoint', 'config.json')))
  : [];

describe.skipIf(families.length === 0)('the checkpoints of the kit in HONE_KIT', () => {
  it.each(families)('%s answers as in PyTorch', async (family) => {
    const directory = join(kit, family, 'checkpoint');
    const target = join(temporaryFolder(), 'package');
    const { contextLength } = await convertCheckpoint({ directory, target, bits: 32 });
    const { ids, pt } = JSON.parse(readFileSync(join(directory, 'reference.json'), 'utf8')) as {
      ids: number[];
      pt: [number[], number[]];
    };
    const [tokens, logprobs] = pt;
    const all = [...ids, ...tokens.slice(0, -1)];
    const modelPath = join(target, 'onnx', 'model.onnx');
    expectTokens(await ownLogits(modelPath, all), ids.length, tokens, logprobs);
    expectTokens(await decodeLogits(modelPath, contextLength, all, ids.length), ids.length, tokens, logprobs);
  });
});

function expectTokens(
  logits: readonly (Float32Array | undefined)[],
  promptLength: number,
  tokens: readonly number[],
  logprobs: readonly number[],
): void {
  for (const [i, token] of tokens.entries()) {
    const row = logits[promptLength - 1 + i] as Float32Array;
    const most = Math.max(...row);
    expect(row.indexOf(most)).toBe(token);
    const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
    expect(Math.abs(-Math.log(sum) - (logprobs[i] as number))).toBeLessThan(1e-4);
  }
}
