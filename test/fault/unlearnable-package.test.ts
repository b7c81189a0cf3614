/**
 * Decoders that can serve but cannot be learned from. With a learner the server process prints the reason and ends,
 * because the learner would train nothing or crash again and again. `unit/learner/check-trainable.test.ts` goes through
 * all such decoders; this file has one for each error code.
 */

import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeModel } from '../../src/onnx/codec.js';
import { encodeModel } from '../../src/onnx/index.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer, tinyPackage } from '../support/server.js';
import { unlearnableDecoders } from '../support/unlearnable-decoders.js';

const rows = ['no linear layer that has a name', 'one linear layer without a name', 'Softplus'].map((name) => {
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

  it('is refused with exit code 78 and the remedy if a learner is on', async () => {
    const ended = await runServer({ args: ['--package', directory(), '--learner', 'on'] });
    expect(ended.code).toBe(78);
    expect(ended.output).toContain(code);
    for (const words of mentions) expect(ended.output).toContain(words);
    expect(ended.output).not.toMatch(/\n\s+at /);
  });

  it('serves if the learner is off', async () => {
    await using server = await startServer({ args: ['--package', directory(), '--learner', 'off'] });
    const client = await server.connect();
    expect((await client.generate({ prompt: 'a', maxTokens: 2, ignoreEos: true })).usage.completionTokens).toBe(2);
    expect((await client.status()).learner?.state).toBe('off');
  });
});
