/**
 * File systems for one server alone: mounted in a name space of its own, which ends with the process. That takes a Linux
 * that lets users make name spaces, or root; where neither is, `canMount` is false and the tests say that they skip.
 */

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const enter = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'];

/** Whether {@link onSmallDisk} and {@link onReadOnlyDisk} work here. */
export const canMount =
  spawnSync(enter[0] ?? '', [...enter.slice(1), 'mount -t tmpfs tmpfs "$0"', tmpdir()], { stdio: 'ignore' }).status ===
  0;

/** What to run a server within so that `folder` is an empty disk of this size. */
export function onSmallDisk(folder: string, bytes: number): string[] {
  return [...enter, `mount -t tmpfs -o mode=700,size=${bytes} tmpfs "$0" && exec "$@"`, folder];
}

/** What to run a server within so that `folder` can be read but not written. */
export function onReadOnlyDisk(folder: string): string[] {
  const script = `
    copy=$(mktemp -d) && cp -R "$0/." "$copy" &&
    mount -t tmpfs tmpfs "$0" && cp -R "$copy/." "$0" && rm -r "$copy" && mount -o remount,ro "$0" && exec "$@"`;
  return [...enter, script, folder];
}

/** What to run a server within so that no file of it grows beyond so many bytes: works everywhere, for everybody. */
export function withFileLimit(bytes: number): string[] {
  return ['sh', '-c', `ulimit -f ${Math.floor(bytes / 512)} && exec "$0" "$@"`];
}

/** How a path that a server sees looks from outside its name space. */
export function seenFrom(pid: number, path: string): string {
  return join('/proc', String(pid), 'root', path);
}

const filler = 'filler';

/** Fills a disk to its last block. */
export function fillDisk(folder: string): void {
  const file = openSync(join(folder, filler), 'a');
  const blocks = [Buffer.alloc(65_536), Buffer.alloc(4096)];
  try {
    for (const block of blocks) while (writes(file, block));
  } finally {
    closeSync(file);
  }
}

/** Makes room again. */
export function clearDisk(folder: string): void {
  if (readdirSync(folder).includes(filler)) rmSync(join(folder, filler));
}

function writes(file: number, block: Buffer): boolean {
  try {
    return writeSync(file, block) === block.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
