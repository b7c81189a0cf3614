/** Measures the size of an installation on disk: the package as npm packs it, and its production dependencies. */

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { projectRoot } from './project.js';

interface InstallSize {
  readonly totalMb: number;
  readonly ownMb: number;
  readonly dependencies: number;
  /** The largest dependencies, as `name megabytes`. */
  readonly largest: string;
}

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
}

/** Measures this clone. The package's own files are those that npm would pack. */
export function measureInstallSize(): InstallSize {
  const { packages } = readJson<LockFile>('package-lock.json');
  const sizes = Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && !dev && existsSync(join(projectRoot, path)))
    .map(([path]) => ({ name: path.replace(/^.*node_modules\//, ''), bytes: bytesUnder(join(projectRoot, path)) }))
    .sort((a, b) => b.bytes - a.bytes);
  const pack = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const [{ unpackedSize: own }] = JSON.parse(execFileSync('npm', pack, { cwd: projectRoot, encoding: 'utf8' })) as [
    { readonly unpackedSize: number },
  ];
  const megabytes = (bytes: number): number => bytes / 1e6;
  return {
    totalMb: megabytes(sizes.reduce((total, { bytes }) => total + bytes, own)),
    ownMb: megabytes(own),
    dependencies: sizes.length,
    largest: sizes
      .slice(0, 4)
      .map(({ name, bytes }) => `${name} ${megabytes(bytes).toFixed(1)}`)
      .join(', '),
  };
}

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(projectRoot, name), 'utf8')) as T;
}

/** Returns the bytes of the files in a folder, without nested node_modules, which hold other packages. */
function bytesUnder(path: string): number {
  if (!existsSync(path)) return 0;
  const status = lstatSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path)
    .filter((name) => basename(name) !== 'node_modules')
    .reduce((total, name) => total + bytesUnder(join(path, name)), 0);
}
