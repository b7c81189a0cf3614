/**
 * Checks the store's write-ahead log before SQLite reads it.
 *
 * SQLite takes a log up to its first bad frame and forgets the rest without a word. That is right for the end of the
 * log, which a crash may have cut short, and wrong for damage in the middle: commits that were acknowledged would be
 * gone. The two can be told apart, because every commit is forced to the disk before the next transaction begins: a bad
 * frame that is followed by a commit and then by more of the same log belongs to what was on disk.
 *
 * Not to be told from a crash, and so not refused: damage of the last transaction, a log that was cut or removed.
 * Format: https://sqlite.org/fileformat2.html#walformat
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { HoneError } from '../errors.js';
import { remedyForCorruption } from './sqlite-errors.js';

const headerBytes = 32;
const frameHeaderBytes = 24;
const magicLittleEndian = 0x377f0682;
const magicBigEndian = 0x377f0683;

/** @throws HoneError `STORE_CORRUPT` where commits of the log would be lost */
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
    if (log === null) throw damaged(path, 'its header does not read');
    const bad = findDamage(file, size, log);
    if (bad !== null) throw damaged(path, `frame ${bad} does not read, and commits follow it`);
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

/** The first bad frame that acknowledged commits follow, or null. */
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

/** What a power loss leaves of a header that had not been forced to the disk: nothing was committed under it. */
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
