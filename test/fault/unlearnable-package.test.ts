/**
 * The server process on decoders that serve and cannot be learned from: with a learner it says why and ends, instead of
 * serving beside a learner that trains nothing or crashes again and again. `unit/learner/check-trainable.test.ts` goes
 * through the whole table; one of each code stands here.
 */

import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeModel } from '../../src/onnx/codec.js';
import { encodeModel } from '../../src/onnx/index.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer, tinyPackage } from '../support/server.js';
import { unlearnableDecoders } from '../support/unlearnable-decoders.js';

const rows = ['no linear layer that has a name', 'one linear layer without a name', 'Gelu'].map((name) => {
  const row = unlearnableDecoders.find((one) => one.name === name);
  if (row === undefined) throw new Error(`there is no decoder with ${name}`);
  return row;
});

let root: string;
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.each(rows)('a package with $name', ({ name, apply, mentions, code }) => {
  const directory = (): string => join(root, name.replaceAll(' ', '-'));

  beforeAll(async () => {
    await cp(tinyPackage, directory(), { recursive: true });
    const path = join(directory(), 'onnx/model.onnx');
    const graph = decodeModel(await readFile(path));
    apply(graph);
    graph.prune();
    await writeFile(path, encodeModel(graph));
  });

  it('is refused with a learner, with 78 and the remedy', async () => {
    const ended = await runServer({ args: ['--package', directory(), '--learner', 'on'] });
    expect(ended.code).toBe(78);
    expect(ended.output).toContain(code);
    for (const words of mentions) expect(ended.output).toContain(words);
    expect(ended.output).not.toMatch(/\n\s+at /);
  });

  it('serves without one', async () => {
    await using server = await startServer({ args: ['--package', directory(), '--learner', 'off'] });
    const client = await server.connect();
    expect((await client.generate({ prompt: 'a', maxTokens: 2, ignoreEos: true })).usage.completionTokens).toBe(2);
    expect((await client.status()).learner?.state).toBe('off');
  });
});
