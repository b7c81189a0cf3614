/** The npm package holds the files that Hone needs to run and those to which its pages link, and no others. */

import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, posix, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/folders.js';
import { deadLinks } from '../../support/markdown.js';
import { stagePackage } from '../../support/staged-package.js';

const root = temporaryFolder();
stagePackage(root);
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const paths = new Set(
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(root, join(parentPath, name)).replaceAll('\\', '/')),
);
const withEnding = (ending: string): string[] => [...paths].filter((path) => path.endsWith(ending));
const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;

/** Returns the modules that a module imports, starts as a worker or process, or loads by URL. */
function importsOf(path: string): string[] {
  const found = read(path).matchAll(
    /(?:\bfrom|\bimport|(?<![#.])\brequire\()\s*\(?\s*'([^'\n]+)'|new URL\('(\.[^'\n]+)', import\.meta\.url\)/g,
  );
  return [...found].map(([, name, address]) => name ?? address ?? '');
}

const isRelative = (name: string): boolean => name.startsWith('.');
const target = (path: string, name: string): string => posix.join(posix.dirname(path), name);

/** Returns all files that the given files import, directly or indirectly. */
function closureOf(entries: readonly string[], resolve: (name: string) => string): Set<string> {
  const reached = new Set(entries);
  for (const path of reached) {
    const next = importsOf(path)
      .filter(isRelative)
      .map((name) => target(path, resolve(name)));
    for (const one of next) if (paths.has(one)) reached.add(one);
  }
  return reached;
}

const modules = [...withEnding('.js'), ...withEnding('.cjs'), ...withEnding('.mjs')];

it('the package has the program, the contract, the licence and the default policy', () => {
  const wanted = [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'cli/hone.cjs',
    'cli/needed-node.cjs',
    'dist/cli/main.js',
    'dist/client/index.d.ts',
    'dist/server/main.js',
    'proto/hone/v1/generation.proto',
    'proto/google/rpc/status.proto',
    'models/tldr/onnx/model.onnx',
    'scripts/skip-download.mjs',
  ];
  expect([...paths]).toEqual(expect.arrayContaining(wanted));
});

it('the package has no tests, benches, sources or source maps', () => {
  expect([...paths].filter((path) => /(^|\/)(test|bench|node_modules|data)\//.test(path))).toEqual([]);
  expect([...paths].filter((path) => /\.map$|(?<!\.d)\.ts$/.test(path))).toEqual([]);
  for (const path of modules) expect(read(path), path).not.toContain('sourceMappingURL');
});

it('the package has every file that one of its modules imports, and declares every dependency', () => {
  const known = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }));
  for (const path of modules) {
    for (const name of importsOf(path)) {
      if (isRelative(name)) expect([...paths], `${path} imports ${name}`).toContain(target(path, name));
      else if (!isBuiltin(name) && !name.startsWith('hone-agent/')) {
        expect(known, `${path} imports ${name}`).toContain(/^(@[^/]+\/)?[^/]+/.exec(name)?.[0]);
      }
    }
  }
});

it('the package has no module that no other one imports', () => {
  const judges = modules.filter((path) => path.startsWith('dist/models/recipe/judges/'));
  const entries = [
    'cli/hone.cjs',
    'cli/needed-node.cjs',
    'dist/cli/main.js',
    'dist/client/index.js',
    'scripts/skip-download.mjs',
  ];
  const reached = closureOf([...entries, ...judges], (name) => name);
  expect(modules.filter((path) => !reached.has(path))).toEqual([]);
});

it('the package has the declarations that the client\u2019s declarations import, and no others', () => {
  const reached = closureOf(['dist/client/index.d.ts'], (name) => name.replace(/\.js$/, '.d.ts'));
  expect(withEnding('.d.ts').sort()).toEqual([...reached].sort());
  for (const path of reached) {
    for (const name of importsOf(path).filter(isRelative)) {
      expect([...paths], `${path} imports ${name}`).toContain(target(path, name.replace(/\.js$/, '.d.ts')));
    }
  }
});

describe.each(withEnding('.md'))('%s', (path) => {
  it('only links to files in the package', () => {
    expect(
      deadLinks(path, read, (file) => paths.has(file) || [...paths].some((one) => one.startsWith(`${file}/`))),
    ).toEqual([]);
  });
});
