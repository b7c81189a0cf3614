/**
 * Keeps the results of cells in a file, with one JSON object per line, written when a cell ends. A run that is killed
 * leaves at most one torn line; its cell is computed again.
 */

import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** The result of a cell. */
export interface CellOutcome<Result> {
  readonly key: string;
  readonly seconds: number;
  readonly result: Result;
}

interface Line extends CellOutcome<unknown> {
  readonly fingerprint: string;
}

/** Returns the first 16 hex digits of the SHA-256 of a cell's input as JSON. */
export function fingerprintOf(input: unknown): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex').slice(0, 16);
}

export class CellStore {
  readonly #path: string;
  readonly #lines = new Map<string, Line>();

  /**
   * Reads the results of earlier runs.
   * @param fresh whether to start with an empty file instead
   */
  constructor(path: string, fresh = false) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true });
    if (fresh) rmSync(path, { force: true });
    if (!existsSync(path)) return;
    for (const text of readFileSync(path, 'utf8').split('\n')) {
      const line = parseLine(text);
      if (line) this.#lines.set(line.key, line);
    }
  }

  /** Returns the result of a cell, or undefined if there is none for this key and input. */
  get(key: string, fingerprint: string): CellOutcome<unknown> | undefined {
    const line = this.#lines.get(key);
    return line?.fingerprint === fingerprint ? line : undefined;
  }

  /** Adds a result, which is on disk when this returns. It starts a new line, also after a torn one. */
  add(fingerprint: string, { key, seconds, result }: CellOutcome<unknown>): void {
    const line: Line = { key, fingerprint, seconds, result };
    const file = openSync(this.#path, 'a');
    try {
      writeSync(file, `${this.#torn() ? '\n' : ''}${JSON.stringify(line)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    this.#lines.set(key, line);
  }

  #torn(): boolean {
    const bytes = readFileSync(this.#path);
    return bytes.length > 0 && bytes.at(-1) !== 10;
  }
}

function parseLine(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Partial<Line> | null;
    if (typeof line?.key === 'string' && typeof line.fingerprint === 'string' && 'result' in line) return line as Line;
  } catch {
    // The line is torn, so the cell is computed again.
  }
  return undefined;
}
