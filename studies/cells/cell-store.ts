/**
 * Results of cells in a file, one JSON object per line, written as each cell finishes. A run that was killed leaves at
 * most one torn line, which counts as not computed.
 */

import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** What a cell gave. */
export interface CellOutcome<Result> {
  readonly key: string;
  readonly seconds: number;
  readonly result: Result;
}

interface Line extends CellOutcome<unknown> {
  readonly fingerprint: string;
}

/** The first 16 hex digits of the SHA-256 of a cell's input as JSON. */
export function fingerprintOf(input: unknown): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex').slice(0, 16);
}

export class CellStore {
  readonly #path: string;
  readonly #lines = new Map<string, Line>();

  /**
   * Reads what an earlier run left.
   * @param fresh begins with an empty file instead
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

  /** What the cell of this key gave for this very input, or undefined. */
  get(key: string, fingerprint: string): CellOutcome<unknown> | undefined {
    const line = this.#lines.get(key);
    return line?.fingerprint === fingerprint ? line : undefined;
  }

  /** Is on disk when it returns. Begins a line of its own, wherever a killed run broke off. */
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
    // Torn: computed again.
  }
  return undefined;
}
