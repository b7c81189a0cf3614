/** What editors, version managers and workflows read agrees with what the project pins. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

type Platforms = Readonly<Record<string, { readonly version: string }>>;
const { nodes } = (await import(pathToFileURL(join(root, 'scripts/nodes.mjs')).href)) as {
  readonly nodes: Readonly<Record<'oldest' | 'main' | 'newest', Platforms>>;
};
const pinned = (use: keyof typeof nodes): string => nodes[use]['linux-x64']?.version ?? '';

it('.nvmrc names the main Node that scripts/nodes.mjs pins', () => {
  expect(read('.nvmrc').trim()).toBe(pinned('main'));
});

it('the ci workflow tests on the majors of the oldest, the main and the newest Node', () => {
  const [, list = ''] = /^ +node: \[(.+)\]$/m.exec(read('.github/workflows/ci.yml')) ?? [];
  const majors = (['oldest', 'main', 'newest'] as const).map((use) => Number.parseInt(pinned(use), 10));
  expect(list.split(',').map(Number)).toEqual(majors);
});

it.each(['ci', 'release'])('the %s workflow runs npm scripts that exist', (name) => {
  const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
  const commands = [...read(`.github/workflows/${name}.yml`).matchAll(/\bnpm (?:run )?([a-z:]+)/g)];
  const named = commands.map(([, script = '']) => script).filter((script) => script !== 'ci' && script !== 'publish');
  expect(named).toContain('test');
  for (const script of named) expect(scripts).toHaveProperty([script]);
});
