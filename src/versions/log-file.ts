/**
 * The files of the version log: `versions/log.jsonl`, one JSON object per line, appended and forced to the disk, and a
 * copy of it outside that folder. The first line names the format.
 *
 * A line is in the log before it is in the copy, and an entry is acknowledged when it is in both. So a crash leaves the
 * copy at most one line behind the log, and a log that is behind its copy has lost lines. Opening completes each from the
 * other and reports it. What neither of them has is never invented: opening refuses it.
 */

import { copyFile, type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoneError } from '../errors.js';
import { fileSystemError, isNoRoom } from '../file-system-errors.js';
import { syncPath, writeFileDurably } from './durable-files.js';
import type { LogEntry, VersionHistory } from './history.js';
import { beginsWith, covers, damagedLine, header, highestNamed, type LogText, readLogText } from './log-text.js';

/** A version number that something beside the log names, and so was given. */
export interface KnownNumber {
  readonly number: number;
  /** Names it in messages, as `the folder versions/000007`. */
  readonly from: string;
}

export interface LogFileOptions {
  readonly path: string;
  /** Where the copy is. Default: there is none. */
  readonly copyPath?: string | undefined;
  readonly known: readonly KnownNumber[];
  /** If lines are lost, the next number is above this one. */
  readonly above: number;
  /** Whether a person goes on without the lines that are lost. */
  readonly acceptLoss: boolean;
  /** Called with each thing that opening rebuilt. */
  readonly onRebuilt: (what: string) => void;
}

export class VersionLogFile {
  readonly #log: AppendedFile;
  readonly #copy: AppendedFile | null;
  #history: VersionHistory;

  private constructor(log: AppendedFile, copy: AppendedFile | null, history: VersionHistory) {
    this.#log = log;
    this.#copy = copy;
    this.#history = history;
  }

  /**
   * Opens or creates the log and its copy.
   * @throws HoneError `STORE_CORRUPT` if a complete line is damaged or contradicts those before it, and the copy does not
   * help; `STATE_LOST` if lines are missing in both; `INVALID_OPTIONS` if a loss is accepted and nothing is lost;
   * `STORE_FULL`
   */
  static async open(options: LogFileOptions): Promise<VersionLogFile> {
    const { path, copyPath, onRebuilt } = options;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const log = await readLogText(path);
    const copy = copyPath === undefined ? null : await readLogText(copyPath);
    const { lines, history, lost } = reconcile(log, copy, options);
    const content = [...(lines.length === 0 ? [JSON.stringify(header)] : lines), ...lost]
      .map((line) => `${line}\n`)
      .join('');
    try {
      await makeHold(log, content);
    } catch (thrown) {
      throw fileSystemError(thrown, `the version log ${path} cannot be written`);
    }
    if (copy !== null) {
      try {
        await makeHold(copy, content);
      } catch (thrown) {
        if (!isNoRoom(thrown))
          throw fileSystemError(thrown, `the copy ${copy.path} of the version log cannot be written`);
        // The log is whole. A server on a full disk serves; the next start completes the copy.
        onRebuilt(fileSystemError(thrown, `the copy ${copy.path} of the version log cannot be completed now`).message);
        return new VersionLogFile(await AppendedFile.open(path), null, history);
      }
    }
    return new VersionLogFile(
      await AppendedFile.open(path),
      copy === null ? null : await AppendedFile.open(copy.path),
      history,
    );
  }

  get history(): VersionHistory {
    return this.#history;
  }

  /**
   * Appends an entry. It is on disk when it resolves, and only then part of the history. Callers make one call at a time.
   * @throws HoneError as {@link VersionHistory.apply}, or `STORE_FULL` if the disk is full
   */
  async append(entry: LogEntry): Promise<void> {
    const next = this.#history.apply(entry);
    const line = `${JSON.stringify(entry)}\n`;
    await this.#log.append(line);
    try {
      await this.#copy?.append(line);
    } catch (thrown) {
      await this.#log.undo();
      throw thrown;
    }
    this.#history = next;
  }

  async close(): Promise<void> {
    await this.#log.close();
    await this.#copy?.close();
  }
}

/** A file of lines that are appended and forced to the disk. */
class AppendedFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  /** Bytes of its complete lines, and of those without the last one that was appended. */
  #length: number;
  #before: number;
  /** Why a partial line could not be taken back: nothing may follow it. */
  #broken: HoneError | undefined;

  private constructor(path: string, handle: FileHandle, length: number) {
    this.#path = path;
    this.#handle = handle;
    this.#length = length;
    this.#before = length;
  }

  static async open(path: string): Promise<AppendedFile> {
    const handle = await open(path, 'a', 0o600);
    return new AppendedFile(path, handle, (await handle.stat()).size);
  }

  /** On disk when it resolves; if it rejects, the file is as it was. */
  async append(line: string): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const bytes = Buffer.from(line, 'utf8');
    this.#before = this.#length;
    try {
      await this.#handle.appendFile(bytes);
      await this.#handle.datasync();
      this.#length += bytes.length;
    } catch (thrown) {
      const error = fileSystemError(thrown, `cannot append to the version log ${this.#path}`);
      await this.#cut(error);
      throw error;
    }
  }

  /** Takes back the line that was appended last. */
  async undo(): Promise<void> {
    this.#length = this.#before;
    await this.#cut(new HoneError('INTERNAL', `the last line of ${this.#path} could not be taken back`));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** Cuts the file to its complete lines, because a partial line must not stay before the next one. */
  async #cut(error: HoneError): Promise<void> {
    try {
      await this.#handle.truncate(this.#length);
      await this.#handle.datasync();
    } catch {
      this.#broken = error;
    }
  }
}

/** Makes a file hold this content, which begins with the file's own lines unless those are damaged or contradict it. */
async function makeHold(text: LogText, content: string): Promise<void> {
  const own = text.lines.map((line) => `${line}\n`).join('');
  if (text.size === text.length && own === content) return;
  if (own === content) {
    const handle = await open(text.path, 'r+');
    try {
      await handle.truncate(text.length);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return;
  }
  // What was damaged stays readable for a person.
  if (text.size > 0 && (own === '' || !content.startsWith(own))) await copyFile(text.path, `${text.path}.damaged`);
  await writeFileDurably(text.path, content);
  await syncPath(dirname(text.path));
}

interface Reconciled {
  /** Lines that the log is to have; none for a new log. */
  readonly lines: readonly string[];
  readonly history: VersionHistory;
  /** A line to append because lines before it are lost. */
  readonly lost: readonly string[];
}

/** Decides which lines the log has. */
function reconcile(log: LogText, copy: LogText | null, options: LogFileOptions): Reconciled {
  const { acceptLoss, above, known, onRebuilt } = options;
  const texts = copy === null ? [log] : [log, copy];
  const rebuilt: string[] = [];
  const used = choose(log, copy, (what) => rebuilt.push(what));
  const best = used instanceof HoneError ? mostWhole(texts) : used;
  const { history } = best;
  const lines = best.lines.slice(0, best.whole);
  const named = known.toSorted((a, b) => b.number - a.number)[0];
  const missing = named !== undefined && named.number >= history.nextNumber ? named : null;
  if (!acceptLoss) {
    if (used instanceof HoneError) throw used;
    if (missing !== null) throw linesLost(log, history, missing);
    for (const what of rebuilt) onRebuilt(what);
    return { lines, history, lost: [] };
  }
  if (!(used instanceof HoneError) && missing === null) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `nothing of the version log ${log.path} is lost: start the server without --start-without versions`,
    );
  }
  const next = 1 + Math.max(above, named?.number ?? -1, ...texts.map(highestNamed));
  onRebuilt(
    `the version log ${log.path} goes on without the lines that are lost; what is left knows ${history.versions.length} versions, and the next is number ${Math.max(next, history.nextNumber)}`,
  );
  if (next <= history.nextNumber) return { lines, history, lost: [] };
  const entry: LogEntry = { type: 'lost', next };
  return { lines, history: history.apply(entry), lost: [JSON.stringify(entry)] };
}

/** The text whose lines count, or why there is none. Reports what the other one lacks. */
function choose(log: LogText, copy: LogText | null, onRebuilt: (what: string) => void): LogText | HoneError {
  if (copy === null) return log.fault === null ? log : damagedLine(log, remedy);
  const usable = (text: LogText, other: LogText) =>
    text.fault === null && (other.fault === null ? beginsWith(text, other) : covers(text, other));
  if (usable(log, copy)) {
    const behind = log.lines.length - copy.lines.length;
    if (copy.fault !== null) onRebuilt(`${copy.path}, the copy of the version log, was damaged and was made again`);
    else if (copy.isThere && behind > 1) {
      onRebuilt(`${copy.path}, the copy of the version log, lacked ${behind} lines and was completed from ${log.path}`);
    }
    return log;
  }
  if (usable(copy, log)) {
    onRebuilt(
      `the version log ${log.path} ${whatIsWrong(log, copy)}; it was rebuilt from its copy ${copy.path}. If somebody restored an older log on purpose, restore the copy too`,
    );
    return copy;
  }
  if (log.fault !== null) return damagedLine(log, remedy);
  if (copy.fault !== null) {
    return new HoneError(
      'STATE_LOST',
      `the version log ${log.path} lacks lines that its damaged copy ${copy.path} has. Nothing was changed. ${remedy}`,
    );
  }
  const line = 1 + log.lines.findIndex((own, index) => own !== copy.lines[index]);
  return new HoneError(
    'STATE_LOST',
    `the version log ${log.path} and its copy ${copy.path} contradict each other from line ${line} on. Nothing was changed. Give both the content of the right one: from a backup, both from the same one`,
  );
}

function whatIsWrong(log: LogText, copy: LogText): string {
  if (!log.isThere) return 'was missing';
  if (log.fault !== null) return `was damaged in line ${log.fault.line} (${log.fault.reason})`;
  if (log.lines.length === 0) return log.size === 0 ? 'was empty' : 'could not be read';
  return `ended after line ${log.lines.length} of ${copy.lines.length}`;
}

function mostWhole(texts: readonly LogText[]): LogText {
  return texts.reduce((best, text) => (text.whole > best.whole ? text : best));
}

const remedy =
  'Restore the file from a backup of this data directory, or go on without what is lost: start the server once with ' +
  '--start-without versions. Numbers of lost versions are not given again, and their adapters stay in their folders.';

function linesLost(log: LogText, { nextNumber }: VersionHistory, { number, from }: KnownNumber): HoneError {
  const has = log.isThere ? `ends before version ${nextNumber}` : 'is missing';
  return new HoneError(
    'STATE_LOST',
    `the version log ${log.path} ${has}, but ${from} knows version ${number}: lines of the log are lost. Nothing was changed. ${remedy}`,
  );
}
