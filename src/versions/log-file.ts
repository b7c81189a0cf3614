/**
 * The file of the version log, `versions/log.jsonl`: one JSON object per line, appended and forced to the disk. The first
 * line names the format.
 *
 * A last line without a newline is an append that a crash cut short. It was never acknowledged, so opening drops it. Any
 * other line that cannot be read is damage, and opening refuses the file.
 */

import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoneError } from '../errors.js';
import { syncPath } from './durable-files.js';
import { type LogEntry, VersionHistory } from './history.js';

const header = { type: 'log', format: 1 };
const newline = 0x0a;

export class VersionLogFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #length: number;
  #history: VersionHistory;
  #broken: HoneError | undefined;

  private constructor(path: string, handle: FileHandle, length: number, history: VersionHistory) {
    this.#path = path;
    this.#handle = handle;
    this.#length = length;
    this.#history = history;
  }

  /**
   * Opens or creates the log.
   * @throws HoneError `STORE_CORRUPT` if a complete line is damaged or contradicts those before it
   */
  static async open(path: string): Promise<VersionLogFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw HoneError.from(error);
    });
    const length = bytes.lastIndexOf(newline) + 1;
    const history = replay(path, bytes.toString('utf8', 0, length));
    const handle = await open(path, 'a', 0o600);
    const file = new VersionLogFile(path, handle, length, history);
    try {
      if (length < bytes.length) await handle.truncate(length);
      if (length === 0) {
        await file.#write(header);
        await syncPath(dirname(path));
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    return file;
  }

  get history(): VersionHistory {
    return this.#history;
  }

  /**
   * Appends an entry. It is on disk when it resolves, and only then part of the history. Callers make one call at a time.
   * @throws HoneError as {@link VersionHistory.apply}, or `STORE_FULL` if the disk is full
   */
  async append(entry: LogEntry): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const next = this.#history.apply(entry);
    await this.#write(entry);
    this.#history = next;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  async #write(line: object): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`, 'utf8');
    try {
      await this.#handle.appendFile(bytes);
      await this.#handle.datasync();
      this.#length += bytes.length;
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code === 'ENOSPC' ? 'STORE_FULL' : 'INTERNAL';
      const error = new HoneError(code, `cannot append to the version log ${this.#path}: ${String(cause)}`, { cause });
      // A partial line must not stay before the next one.
      await this.#handle.truncate(this.#length).catch(() => {
        this.#broken = error;
      });
      throw error;
    }
  }
}

function replay(path: string, text: string): VersionHistory {
  const lines = text.split('\n').slice(0, -1);
  let history = new VersionHistory();
  for (const [index, line] of lines.entries()) {
    try {
      const entry: unknown = JSON.parse(line);
      if (index === 0) checkHeader(entry);
      else history = history.apply(checkEntry(entry));
    } catch (cause) {
      throw new HoneError(
        'STORE_CORRUPT',
        `line ${index + 1} of the version log ${path} is damaged (${cause instanceof Error ? cause.message : cause}). ` +
          'Nothing was changed. Restore the file from a backup, or move the versions directory away to start again from ' +
          'version 0; the adapters in it stay readable.',
        { cause },
      );
    }
  }
  return history;
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
