/** What installing relies on: the lock file's content, and what a packed Hone holds. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

interface LockedPackage {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
}

describe('the lock file', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const entries = Object.entries(lock.packages).filter(([path]) => path !== '');

  it('names no registry and has a checksum for every package', () => {
    expect(entries.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(entries.filter(([, { integrity }]) => integrity === undefined)).toEqual([]);
  });

  it('has the tools for Linux and macOS on both processors', () => {
    const tools = ['@biomejs/cli-', '@bufbuild/buf-', '@esbuild/', '@typescript/typescript-', '@rolldown/binding-'];
    const platforms = [/\Wlinux-x64/, /\Wlinux-(arm64|aarch64)/, /\Wdarwin-x64/, /\Wdarwin-arm64/];
    for (const tool of tools) {
      const variants = entries.map(([path]) => path).filter((path) => path.includes(`node_modules/${tool}`));
      for (const platform of platforms)
        expect(
          variants.some((path) => platform.test(path)),
          `${tool}${platform}`,
        ).toBe(true);
    }
  });
});

it('a packed Hone holds the program, the contract and the default policy, and none of the tests', () => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const [packed] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' })) as [
    { files: { path: string }[] },
  ];
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      'LICENSE',
      'dist/client/cli/main.js',
      'dist/client/index.d.ts',
      'dist/server/main.js',
      'proto/hone/v1/generation.proto',
      'proto/google/rpc/status.proto',
      'scripts/skip-download.mjs',
    ]),
  );
  expect(paths.filter((path) => /(^|\/)(test|bench|node_modules|data)\//.test(path))).toEqual([]);
});
