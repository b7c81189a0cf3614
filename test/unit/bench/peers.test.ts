/** The lock file of the bench's peers: no registry, no binaries for GPUs, no dependency of Hone. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../../../bench/lib/project.js';

interface Locked {
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly name?: string;
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
}

const read = <T>(path: string): T => JSON.parse(readFileSync(join(projectRoot, path), 'utf8')) as T;

describe('the peers of the bench', () => {
  const { packages } = read<{ packages: Record<string, Locked> }>('bench/peers/package-lock.json');
  const locked = Object.entries(packages).filter(([path]) => path !== '');

  it('are locked with a checksum each, and without the name of a registry', () => {
    expect(locked.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(locked.filter(([, { integrity }]) => integrity === undefined)).toEqual([]);
  });

  it('come without the binaries for GPUs', () => {
    const gpu = locked.filter(([path]) => /@node-llama-cpp\/.*(cuda|vulkan)/.test(path));
    expect(gpu.length).toBeGreaterThan(0);
    expect(gpu.filter(([, { name }]) => name !== 'empty-npm-package')).toEqual([]);
  });

  it('are not dependencies of Hone, except of its tests', () => {
    const { dependencies } = read<{ dependencies: Record<string, string> }>('bench/peers/package.json');
    const { packages } = read<{ packages: Record<string, Locked> }>('package-lock.json');
    const own = Object.entries(packages).flatMap(([path, { dev, devOptional }]) => (dev || devOptional ? [] : [path]));
    for (const peer of Object.keys(dependencies)) {
      expect(own.filter((path) => path.endsWith(`node_modules/${peer}`))).toEqual([]);
    }
  });
});
