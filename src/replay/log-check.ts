/**
 * Checks the store's write-ahead log before SQLite reads it.
 *
 * SQLite reads a log up to its first bad frame and silently drops the rest. That is right for the end of the log, which
 * a crash may have cut short. It is wrong for damage in the middle, because acknowledged commits would be lost. The two
 * cases differ: every commit is forced to the disk before the next transaction begins. So if a commit, and then more of
 * the same log, follow a bad frame, that frame was on disk and is damaged.
 *
 * Damage of the last transaction, and a log that was cut or removed, look like a crash and are therefore not refused.
 * Format: https://sqlite.org/fileformat2.html#walformat
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { HoneError } from '../errors.js';
import { remedyForCorruption } from './sqlite-errors.js';

const headerBytes = 32;
const frameHeaderBytes = 24;
const magicLittleEndian = 0x377f0682;
const magicBigEndian = 0x377f0683;

/** @throws HoneError `STORE_CORRUPT` if SQLite would lose commits of the log */
export function checkLog(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    const header = readView(file, 0, headerBytes);
    if (size <= headerBytes || isZero(header)) return;
    const log = parseHeader(header);
    if (log === null) throw damaged(path, 'its header cannot be read');
    const bad = findDamage(file, size, log);
    if (bad !== null) throw damaged(path, `frame ${bad} cannot be read, and commits follow it`);
  } finally {
    closeSync(file);
  }
}

type Sum = readonly [number, number];

interface LogHeader {
  readonly littleEndian: boolean;
  readonly pageBytes: number;
  readonly salts: Sum;
  readonly sum: Sum;
}

function parseHeader(view: DataView): LogHeader | null {
  const magic = view.getUint32(0);
  const littleEndian = magic === magicLittleEndian;
  if (!littleEndian && magic !== magicBigEndian) return null;
  const sum = checksum(view, 24, littleEndian, [0, 0]);
  const pageBytes = view.getUint32(8);
  if (!equal(sum, pairAt(view, 24)) || pageBytes < 512 || pageBytes > 65_536) return null;
  return { littleEndian, pageBytes, salts: pairAt(view, 16), sum };
}

/** Finds the first bad frame that is followed by acknowledged commits. */
function findDamage(file: number, size: number, { littleEndian, pageBytes, salts, sum }: LogHeader): number | null {
  const frameBytes = frameHeaderBytes + pageBytes;
  let expected = sum;
  let bad: number | null = null;
  let committed = false;
  for (let frame = 0; headerBytes + (frame + 1) * frameBytes <= size; frame++) {
    const view = readView(file, headerBytes + frame * frameBytes, frameBytes);
    const ours = equal(pairAt(view, 8), salts);
    if (bad === null) {
      const page = new DataView(view.buffer, view.byteOffset + frameHeaderBytes, pageBytes);
      expected = checksum(page, pageBytes, littleEndian, checksum(view, 8, littleEndian, expected));
      if (ours && equal(pairAt(view, 16), expected)) continue;
      bad = frame;
    }
    if (!ours) continue;
    if (committed) return bad;
    committed = view.getUint32(4) !== 0;
  }
  return null;
}

function checksum(view: DataView, bytes: number, littleEndian: boolean, [first, second]: Sum): Sum {
  let a = first;
  let b = second;
  for (let at = 0; at < bytes; at += 8) {
    a = (a + view.getUint32(at, littleEndian) + b) >>> 0;
    b = (b + view.getUint32(at + 4, littleEndian) + a) >>> 0;
  }
  return [a, b];
}

function pairAt(view: DataView, at: number): Sum {
  return [view.getUint32(at), view.getUint32(at + 4)];
}

function equal(a: Sum, b: Sum): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** Whether a power loss left the header empty: it was not forced to the disk yet, so nothing was committed after it. */
function isZero(view: DataView): boolean {
  for (let at = 0; at < view.byteLength; at++) if (view.getUint8(at) !== 0) return false;
  return true;
}

function readView(file: number, position: number, length: number): DataView {
  const bytes = new Uint8Array(length);
  readSync(file, bytes, 0, length, position);
  return new DataView(bytes.buffer);
}

function damaged(path: string, why: string): HoneError {
  return new HoneError('STORE_CORRUPT', `The store's log ${path} is damaged: ${why}. ${remedyForCorruption()}`);
}
