/**
 * The server process refuses a damaged package, prints the reason and exits with the code after which the supervisor does
 * not restart it. `unit/package/load.test.ts` goes through all damages; this file has one of each kind: a file, its bytes,
 * its graph, its data, its texts.
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

/** All tests share a data directory, because a refused start must not leave anything that hinders the next one. */
let data: string;
let root: string;

beforeAll(() => {
  data = temporaryFolder();
  root = temporaryFolder();
});

describe('a server', () => {
  it('has a test case for each kind of damage', () => {
    expect(rows).toHaveLength(kinds.size);
  });

  it.each(rows)(
    'on a package with $name prints the reason and exits with 78',
    async ({ name, apply, mentions, code }) => {
      const directory = join(root, name.replaceAll(' ', '-'));
      await cp(tinyPackage, directory, { recursive: true });
      await apply(directory);
      const ended = await runServer({ data, args: ['--package', directory] });
      expect(ended.code).toBe(78);
      for (const words of mentions) expect(ended.output).toContain(words);
      expect(ended.output).toContain(code ?? 'PACKAGE_INVALID');
      expect(ended.output).not.toMatch(/\n\s+at /);
    },
  );

  it('starts on the same data directory with a good package, with version 0', async () => {
    await using server = await startServer({ data });
    expect(server.ready.version).toBe(0);
    const client = await server.connect();
    expect((await client.generate({ prompt: 'a', maxTokens: 2, ignoreEos: true })).usage.completionTokens).toBe(2);
  });
});
