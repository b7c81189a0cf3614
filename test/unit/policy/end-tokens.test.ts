/** Completions end at every end token of the package, with the token and without its text. */

import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadPackage } from '../../../src/package/index.js';
import { openPolicy } from '../../../src/policy/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { set } from '../../support/package-edits.js';
import { collect, makeVersion, randomTokens, request } from '../../support/policy/policy.js';
import { tinyDirectory } from '../../support/tiny.js';

const letter = 'a'.charCodeAt(0);
/** By where the token comes from. */
const ends = { template: 256, 'config.json': 257, 'generation_config.json': 258, 'tokenizer_config.json': letter };

test('a completion stops at each end token, wherever the package names it, and its text leaves the token out', async () => {
  const directory = join(temporaryFolder(), 'tiny');
  await cp(tinyDirectory, directory, { recursive: true });
  await set('config.json', 'eos_token_id', ends['config.json'])(directory);
  await set('generation_config.json', 'eos_token_id', [ends['generation_config.json']])(directory);
  await set('tokenizer_config.json', 'eos_token', 'a')(directory);
  const pkg = await loadPackage(directory);
  const policy = await openPolicy({ pkg, version: await makeVersion(pkg, 0, 0) });
  onTestFinished(() => policy.close());
  const forcedTo = async (token: number, ignoreEos = false) => {
    const sampling = { ignoreEos, maxTokens: 3, logitBias: { [token]: 1000 } };
    const { completions } = await collect(policy.complete(request(randomTokens(5, 1), { sampling })));
    const { tokens, text, reason, endOfSequence } = completions[0] ?? {};
    return { tokens, text, reason, endOfSequence };
  };
  for (const token of Object.values(ends)) {
    expect(await forcedTo(token)).toEqual({ tokens: [token], text: '', reason: 'stop', endOfSequence: true });
  }
  const other = 'b'.charCodeAt(0);
  const all = { reason: 'length', endOfSequence: false };
  expect(await forcedTo(other)).toEqual({ tokens: [other, other, other], text: 'bbb', ...all });
  expect(await forcedTo(letter, true)).toEqual({ tokens: [letter, letter, letter], text: 'aaa', ...all });
});
