/**
 * Reads the lines of a version log, and of its copy, as far as they can be trusted.
 *
 * A last line without a newline is an append that a crash cut short. It was never acknowledged. Any other line that
 * cannot be read, or that contradicts those before it, is damage.
 */

import { readFile } from 'node:fs/promises';
import { HoneError } from '../errors.js';
import { fileSystemError, systemCode } from '../file-system-errors.js';
import { type LogEntry, VersionHistory } from './history.js';

/** The first line of the file. */
export const header = { type: 'log', format: 1 };

/** The content of a version log. */
export interface LogText {
  readonly path: string;
  readonly isThere: boolean;
  /** Bytes of the file, and those of its complete lines. */
  readonly size: number;
  readonly length: number;
  /** The complete lines, the header first. */
  readonly lines: readonly string[];
  /** Number of lines before the first damaged one, and what they add up to. */
  readonly whole: number;
  readonly history: VersionHistory;
  /** What is wrong with the first damaged line; null if there is none. */
  readonly fault: LineFault | null;
}

export interface LineFault {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

const newline = 0x0a;

/** Reads a log; a file that is missing has no lines. @throws HoneError if the system cannot read it */
export async function readLogText(path: string): Promise<LogText> {
  let bytes = Buffer.alloc(0);
  let isThere = true;
  try {
    bytes = await readFile(path);
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw fileSystemError(thrown, `the version log ${path} cannot be read`);
    isThere = false;
  }
  const length = bytes.lastIndexOf(newline) + 1;
  const lines = bytes.toString('utf8', 0, length).split('\n').slice(0, -1);
  return { path, isThere, size: bytes.length, length, lines, ...replay(lines) };
}

function replay(lines: readonly string[]): Pick<LogText, 'whole' | 'history' | 'fault'> {
  let history = new VersionHistory();
  for (const [index, line] of lines.entries()) {
    try {
      const entry: unknown = JSON.parse(line);
      if (index === 0) checkHeader(entry);
      else history = history.apply(checkEntry(entry));
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      return { whole: index, history, fault: { line: index + 1, reason } };
    }
  }
  return { whole: lines.length, history, fault: null };
}

/** Whether a text begins with all lines of another one. */
export function beginsWith(text: LogText, other: LogText): boolean {
  return other.lines.every((line, index) => line === text.lines[index]);
}

/** Whether a text has every line of another one that can still be read, so that nothing is lost with the other one. */
export function covers(text: LogText, other: LogText): boolean {
  const known = new Set(text.lines);
  return other.lines.every((line) => known.has(line) || !isJson(line));
}

/** The highest version number that any line names, also a line that is damaged; -1 if there is none. */
export function highestNamed(text: LogText): number {
  const named = text.lines.flatMap((line) =>
    [...line.matchAll(/"number":(\d{1,9})\b/g)].map(([, digits]) => Number(digits)),
  );
  return Math.max(-1, text.history.nextNumber - 1, ...named);
}

export function damagedLine({ path, fault }: LogText, remedy: string): HoneError {
  const { line, reason } = fault ?? { line: 1, reason: 'it cannot be read' };
  return new HoneError(
    'STORE_CORRUPT',
    `line ${line} of the version log ${path} is damaged (${reason}). Nothing was changed. ${remedy}`,
  );
}

function isJson(line: string): boolean {
  try {
    return typeof Object(JSON.parse(line)).type === 'string';
  } catch {
    return false;
  }
}

function checkHeader(value: unknown): void {
  const { type, format } = Object(value);
  if (type !== header.type || format !== header.format)
    throw new TypeError('it is not the header of a version log of format 1');
}

function checkEntry(value: unknown): LogEntry {
  const entry = Object(value);
  if (
    entry.type === 'promoted' ||
    entry.type === 'rejected' ||
    entry.type === 'set_aside' ||
    entry.type === 'removed'
  ) {
    if (Number.isSafeInteger(entry.number)) return entry;
  } else if (entry.type === 'judged') {
    if (Number.isSafeInteger(entry.number) && Array.isArray(entry.verdict) && entry.verdict.every(isCheck))
      return entry;
  } else if (entry.type === 'trial') {
    if (Number.isSafeInteger(entry.number) && (entry.state === 'shadow' || entry.state === 'canary')) return entry;
  } else if (entry.type === 'lost') {
    if (Number.isSafeInteger(entry.next)) return entry;
  } else if (entry.type === 'version') {
    const version = Object(entry.version);
    const texts = [version.lineage, version.adapterDigest, version.packageDigest, version.state, version.origin];
    const numbers = [version.number, version.createdAtMs, version.parent ?? 0];
    if (texts.every((item) => typeof item === 'string') && numbers.every(Number.isSafeInteger)) return entry;
  }
  throw new TypeError('it is not an entry of a version log');
}

function isCheck(value: unknown): boolean {
  const { check, outcome, detail, numbers } = Object(value);
  return [check, outcome, detail].every((item) => typeof item === 'string') && Object(numbers) === numbers;
}
