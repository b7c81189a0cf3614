/** The lint refuses imports against the arrows between folders: shown by planting them in a folder of their own. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/folders.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  cpSync(join(root, 'biome.json'), join(folder, 'biome.json'));
});

/** Lints one file with this content; gives back what the lint says of it. */
function lint(path: string, content: string): { refused: boolean; output: string } {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  const result = spawnSync(process.execPath, [biome, 'lint', path], { cwd: folder, encoding: 'utf8' });
  rmSync(file);
  return { refused: result.status !== 0, output: result.stdout + result.stderr };
}

const importing = (source: string): string => `import { thing } from '${source}';\n\nexport const copy = thing;\n`;

describe('the lint', () => {
  it.each([
    ['src/onnx/planted.ts', '../autodiff/index.js'],
    ['src/autodiff/rules/planted.ts', '../../learner/types.js'],
    ['src/policy/planted.ts', '../replay/index.js'],
    ['src/replay/planted.ts', '../versions/index.js'],
    ['src/versions/planted.ts', '../package/index.js'],
    ['src/sqlite/planted.ts', '../replay/index.js'],
    ['src/gate/planted.ts', '../sqlite/index.js'],
    ['src/learner/planted.ts', '../policy/index.js'],
    ['src/learner/planted.ts', '../agent/index.js'],
    ['src/agent/planted.ts', '../../server/grpc/door.js'],
    ['src/agent/planted.ts', '@grpc/grpc-js'],
    ['src/errors.ts', './agent/index.js'],
    ['server/planted.ts', '../client/index.js'],
    ['client/planted.ts', '../src/errors.js'],
    ['client/types/planted.ts', '../../server/main.js'],
    ['client/planted.ts', 'onnxruntime-node'],
    ['client/planted.ts', 'grpc-health-check'],
    ['proto/planted.ts', '../client/index.js'],
    ['proto/planted.ts', '../server/main.js'],
  ])('refuses that %s imports %s', (path, source) => {
    const { refused, output } = lint(path, importing(source));
    expect(output).toContain('noRestrictedImports');
    expect(refused).toBe(true);
  });

  it.each([
    ['src/autodiff/rules/planted.ts', '../../onnx/index.js'],
    ['src/policy/planted.ts', '../versions/types.js'],
    ['src/learner/planted.ts', '../replay/index.js'],
    ['src/replay/planted.ts', '../sqlite/index.js'],
    ['src/agent/planted.ts', '../policy/index.js'],
    ['server/planted.ts', '../src/agent/index.js'],
    ['cli/commands/planted.ts', '../../client/index.js'],
    ['client/planted.ts', '../proto/contract.js'],
  ])('lets %s import %s', (path, source) => {
    expect(lint(path, importing(source))).toMatchObject({ refused: false });
  });

  it('refuses the console and the environment in src', () => {
    expect(lint('src/policy/planted.ts', "console.log('here');\n").output).toContain('noConsole');
    expect(lint('src/policy/planted.ts', 'export const home = process.env.HOME;\n').output).toContain('noProcessEnv');
  });

  it('refuses a circle of imports', () => {
    writeFileSync(
      join(folder, 'even.ts'),
      "import { odd } from './odd.js';\n\nexport const even = (): unknown => odd;\n",
    );
    const { output } = lint('odd.ts', "import { even } from './even.js';\n\nexport const odd = (): unknown => even;\n");
    rmSync(join(folder, 'even.ts'));
    expect(output).toContain('noImportCycles');
  });
});
