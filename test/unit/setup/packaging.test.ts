/** The lock file has the entries on which the installation relies. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

interface LockedPackage {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  /** Whether this is the link in node_modules to a workspace of this repository. */
  readonly link?: true;
}

describe('the lock file', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const entries = Object.entries(lock.packages).filter(
    ([path, { link }]) => path.includes('node_modules/') && link !== true,
  );

  it('names no registry, and has a checksum for every package', () => {
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
