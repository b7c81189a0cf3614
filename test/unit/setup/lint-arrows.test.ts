/** The lint refuses forbidden imports between rooms. The tests plant such imports in a temporary tree. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/folders.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
const arrows = join(root, 'scripts/arrows.mjs');
const { lintArrows } = (await import(pathToFileURL(arrows).href)) as { lintArrows: (folder: string) => string[] };

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  cpSync(join(root, 'biome.json'), join(folder, 'biome.json'));
  for (const room of ['src/agent', 'src/policy', 'src/replay', 'client']) {
    mkdirSync(join(folder, room), { recursive: true });
    writeFileSync(join(folder, room, 'index.ts'), 'export const thing = 1;\n');
  }
});

interface Answer {
  readonly refused: boolean;
  readonly output: string;
}

/** Adds a file to the tree, runs a linter, and removes the file. */
function withPlanted<T>(path: string, content: string, linter: () => T): T {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  try {
    return linter();
  } finally {
    rmSync(file);
  }
}

function run(...command: readonly string[]): Answer {
  const result = spawnSync(process.execPath, command, { cwd: folder, encoding: 'utf8' });
  return { refused: result.status !== 0, output: result.stdout + result.stderr };
}

const lint = (path: string, content: string) => withPlanted(path, content, () => run(biome, 'lint', path));
/** Runs the lint of arrows in this process. The last test of its group runs it as a command. */
const complaints = (path: string, content: string) => withPlanted(path, content, () => lintArrows(folder).join('\n'));

const importing = (source: string): string => `import { thing } from '${source}';\n\nexport const copy = thing;\n`;

describe('the lint of arrows', () => {
  it.each([
    ['src/onnx/planted.ts', '../autodiff/index.js'],
    ['src/autodiff/rules/planted.ts', '../../learner/index.js'],
    ['src/policy/planted.ts', '../replay/index.js'],
    ['src/replay/planted.ts', '../versions/index.js'],
    ['src/versions/planted.ts', '../package/index.js'],
    ['src/sqlite/planted.ts', '../replay/index.js'],
    ['src/gate/planted.ts', '../sqlite/index.js'],
    ['src/process/planted.ts', '../learner/index.js'],
    ['src/learner/planted.ts', '../policy/index.js'],
    ['src/learner/planted.ts', '../agent/index.js'],
    ['src/agent/planted.ts', '../../server/grpc/door.js'],
    ['src/agent/planted.ts', '@grpc/grpc-js'],
    ['src/agent/planted.ts', 'onnxruntime-node'],
    ['src/errors.ts', './agent/index.js'],
    ['server/planted.ts', '../client/index.js'],
    ['server/planted.ts', '../models/recipe/plot.js'],
    ['client/planted.ts', '../src/errors.js'],
    ['client/types/planted.ts', '../../server/main.js'],
    ['client/planted.ts', '../cli/main.js'],
    ['client/planted.ts', 'onnxruntime-node'],
    ['client/planted.ts', 'node:sqlite'],
    ['cli/planted.ts', '../bench/lib/report.js'],
    ['bench/planted.ts', '../studies/main.js'],
    ['studies/planted.ts', '../server/start.js'],
    ['examples/planted.ts', '../src/policy/index.js'],
    ['proto/planted.ts', '../client/index.js'],
    ['proto/planted.ts', '../server/main.js'],
  ])('refuses that %s imports %s', (path, source) => {
    expect(complaints(path, importing(source))).toContain(path);
  });

  it.each([
    ['a type', "import type { Thing } from '../server/main.js';\n\nexport type Copy = Thing;\n"],
    ['an export', "export { thing } from '../server/main.js';\n"],
    ['an export of everything', "export * from '../server/main.js';\n"],
    ['an inline type', "export type Copy = import('../server/main.js').Thing;\n"],
    ['a dynamic import', "export const load = () => import('../server/main.js');\n"],
    ['a URL', "export const file = new URL('../server/main.js', import.meta.url);\n"],
    [
      'a require',
      "declare const require: (name: string) => unknown;\nexport const main = require('../server/main.js');\n",
    ],
  ])('also finds %s', (_, content) => {
    expect(complaints('client/planted.ts', content)).toContain(
      'client/planted.ts: client may not import server (server/main.ts)',
    );
  });

  it.each([
    ['src/autodiff/rules/planted.ts', '../../onnx/index.js'],
    ['src/policy/planted.ts', '../versions/index.js'],
    ['src/learner/planted.ts', '../replay/index.js'],
    ['src/learner/planted.ts', '../package/lowering.js'],
    ['src/replay/planted.ts', '../sqlite/index.js'],
    ['src/agent/planted.ts', '../policy/index.js'],
    ['server/planted.ts', '../src/agent/index.js'],
    ['cli/commands/planted.ts', '../../client/index.js'],
    ['cli/planted.ts', '../server/flag-table.js'],
    ['client/planted.ts', '../proto/contract.js'],
    ['test/planted.ts', '../src/policy/hold-counts.js'],
  ])('lets %s import %s', (path, source) => {
    expect(complaints(path, importing(source))).toBe('');
  });

  it('only allows imports of a room from its index, or of code from its side doors', () => {
    const inside = complaints('src/agent/planted.ts', importing('../policy/hold-counts.js'));
    expect(inside).toContain('import src/policy/index.ts');
    expect(complaints('server/planted.ts', importing('../src/replay/store.js'))).toBe('');
    const type = "import type { Thing } from '../src/replay/store.js';\n\nexport type Copy = Thing;\n";
    expect(complaints('server/planted.ts', type)).toContain('server/planted.ts');
  });

  it('refuses a folder that is not in its table', () => {
    const unknown = complaints('src/novel/planted.ts', 'export const thing = 1;\n');
    expect(unknown).toContain('its folder is not in the table');
  });

  it('fails as a command if an import breaks a rule, and is silent otherwise', () => {
    const path = 'client/planted.ts';
    const refused = withPlanted(path, importing('../server/main.js'), () => run(arrows, folder));
    expect(refused).toMatchObject({ refused: true, output: expect.stringContaining(path) });
    expect(run(arrows, folder)).toEqual({ refused: false, output: '' });
  });
});

describe('the lint', () => {
  it('refuses the console and the environment in src', () => {
    expect(lint('src/policy/planted.ts', "console.log('here');\n").output).toContain('noConsole');
    expect(lint('src/policy/planted.ts', 'export const home = process.env.HOME;\n').output).toContain('noProcessEnv');
  });

  it.each([
    ['of code', '', 'unknown'],
    ['of types', 'type ', 'typeof odd'],
  ])('refuses a circle of imports %s', (_, kind, type) => {
    const other = kind === '' ? 'export const even = (): unknown => odd;\n' : `export type Even = ${type};\n`;
    writeFileSync(join(folder, 'even.ts'), `import ${kind}{ odd } from './odd.js';\n\n${other}`);
    const name = kind === '' ? 'even' : 'type Even';
    const use = kind === '' ? 'export const odd = (): unknown => even;\n' : 'export const odd: Even | null = null;\n';
    const { output } = lint('odd.ts', `import { ${name} } from './even.js';\n\n${use}`);
    rmSync(join(folder, 'even.ts'));
    expect(output).toContain('noImportCycles');
  });
});
