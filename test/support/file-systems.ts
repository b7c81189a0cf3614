/**
 * Mounts file systems for a single server, in a name space that ends with its process. This needs a Linux on which users
 * can make name spaces, or root. Otherwise `canMount` is false, and the tests are skipped.
 */

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const filler = 'filler';
const enter = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'];

/** Whether {@link onSmallDisk} and {@link onReadOnlyDisk} work here. */
export const canMount =
  spawnSync(enter[0] ?? '', [...enter.slice(1), 'mount -t tmpfs tmpfs "$0"', tmpdir()], { stdio: 'ignore' }).status ===
  0;

/** Returns the command prefix that runs a server with `folder` as an empty disk of this size. */
export function onSmallDisk(folder: string, bytes: number): string[] {
  return [...enter, `mount -t tmpfs -o mode=700,size=${bytes} tmpfs "$0" && exec "$@"`, folder];
}

/**
 * Returns the command prefix that runs a server with `folder` as a full disk of this size: it holds what the folder held
 * and a file that takes the rest.
 */
export function onFullDisk(folder: string, bytes: number): string[] {
  const script = `
    copy=$(mktemp -d) && cp -R "$0/." "$copy" &&
    mount -t tmpfs -o mode=700,size=${bytes} tmpfs "$0" && cp -R "$copy/." "$0" && rm -r "$copy" &&
    { cat /dev/zero > "$0/${filler}" 2> /dev/null; exec "$@"; }`;
  return [...enter, script, folder];
}

/** Returns the command prefix that runs a server with `folder` as a read-only disk. */
export function onReadOnlyDisk(folder: string): string[] {
  const script = `
    copy=$(mktemp -d) && cp -R "$0/." "$copy" &&
    mount -t tmpfs tmpfs "$0" && cp -R "$copy/." "$0" && rm -r "$copy" && mount -o remount,ro "$0" && exec "$@"`;
  return [...enter, script, folder];
}

/** Returns the command prefix that limits the size of each file of a server. It works on every system. */
export function withFileLimit(bytes: number): string[] {
  return ['sh', '-c', `ulimit -f ${Math.floor(bytes / 512)} && exec "$0" "$@"`];
}

/** Returns the path from outside the name space for a path that a server sees. */
export function seenFrom(pid: number, path: string): string {
  return join('/proc', String(pid), 'root', path);
}

/** Fills a disk completely. */
export function fillDisk(folder: string): void {
  const file = openSync(join(folder, filler), 'a');
  const blocks = [Buffer.alloc(65_536), Buffer.alloc(4096)];
  try {
    for (const block of blocks) while (writes(file, block));
  } finally {
    closeSync(file);
  }
}

/** Removes the file that fills the disk. */
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
