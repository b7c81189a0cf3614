/**
 * The server process on packages that are wrong: it says why and ends with the code that nobody should start it again.
 * `unit/package/load.test.ts` goes through the whole table of damages; one of each kind stands here: a file, its bytes, its graph, its data, its texts.
 */

import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { damages } from '../support/damaged-packages.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer, tinyPackage } from '../support/server.js';

const kinds = new Set([
  'no model',
  'a model that is cut off',
  'an unknown operator',
  'data outside the folder',
  'a template that does not parse',
]);
const rows = damages.filter(({ name }) => kinds.has(name));

/** One data directory for all: what a refused start leaves must not be in the way of the next. */
let data: string;
let root: string;

beforeAll(() => {
  data = temporaryFolder();
  root = temporaryFolder();
});

describe('a server', () => {
  it('has a damage of each kind to look at', () => {
    expect(rows).toHaveLength(kinds.size);
  });

  it.each(rows)('on a package with $name says so and exits with 78', async ({ name, apply, mentions, code }) => {
    const directory = join(root, name.replaceAll(' ', '-'));
    await cp(tinyPackage, directory, { recursive: true });
    await apply(directory);
    const ended = await runServer({ data, args: ['--package', directory] });
    expect(ended.code).toBe(78);
    for (const words of mentions) expect(ended.output).toContain(words);
    expect(ended.output).toContain(code ?? 'PACKAGE_INVALID');
    expect(ended.output).not.toMatch(/\n\s+at /);
  });

  it('starts on the same data directory with a good package, at its first version', async () => {
    await using server = await startServer({ data });
    expect(server.ready.version).toBe(0);
    const client = await server.connect();
    expect((await client.generate({ prompt: 'a', maxTokens: 2, ignoreEos: true })).usage.completionTokens).toBe(2);
  });
});
