/** Exports and imports stored records as lines of JSON, a piece at a time, with only a few records in memory. */

import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { HoneError } from '../errors.js';
import type { Package } from '../package/index.js';
import type { OwnTurns } from '../process/own-turns.js';
import {
  type ExportFilter,
  formatRecord,
  type ImportOutcome,
  parseRecord,
  type ReplayRecord,
  type ReplayStore,
} from '../replay/index.js';
import type { RewardSettings } from '../reward/index.js';
import { isInRange, outsideRange, rangeOf } from '../reward/range.js';
import { checkImported } from './imported-records.js';
import { LineBuffer } from './line-buffer.js';

/** Some lines of an export. */
export interface ExportedLines {
  /** Each line ends with a newline. */
  readonly lines: string;
  /** Number of records so far. */
  readonly records: number;
}

/** Characters that are written or read before other work on the event loop gets a turn: a few milliseconds. */
const charactersPerTurn = 64 * 1024;
/** What a line costs at least, in characters: an empty one is work too, and one that is refused more than most. */
const charactersPerLine = 512;

/**
 * Exports the records that are stored when the export begins, in the order in which they were written.
 * @param turns shared by all exports, so that one of them writes lines in a turn of the event loop
 */
export async function* exportReplay(
  replay: ReplayStore,
  filter: ExportFilter,
  turns: OwnTurns,
): AsyncGenerator<ExportedLines> {
  let after: number | null = 0;
  let id: number | undefined;
  let records = 0;
  try {
    while (after !== null) {
      const page = await whenPossible(() => replay.exportPage({ ...filter, after: after as number, id }));
      id = page.id;
      after = page.next;
      await turns.next();
      let lines = '';
      for (const record of page.records) {
        lines += `${formatRecord(record)}\n`;
        records += 1;
        if (lines.length < charactersPerTurn) continue;
        yield { lines, records };
        lines = '';
        await turns.next();
      }
      if (lines !== '') yield { lines, records };
    }
  } finally {
    // The caller may have left before the last page. A store that is gone has ended the export, too.
    if (id !== undefined && after !== null) await replay.endExport(id).catch(() => undefined);
  }
}

/** How many records of an import were taken, skipped and refused. */
export interface ImportResult {
  readonly imported: number;
  readonly skipped: number;
  readonly refused: number;
  /** The first refusals, by line. */
  readonly refusals: readonly { readonly line: number; readonly error: HoneError }[];
}

/**
 * A line is read at once, on the event loop, so it must not be much longer than a record of the served package can be:
 * its prompt and its text, and for each token some digits of an id and of two log-probabilities.
 */
const leastMaxLineBytes = 2 * 1024 * 1024;
const mostMaxLineBytes = 16 * 1024 * 1024;
const lineBytesPerToken = 256;
const recordsPerWrite = 256;
const charactersPerWrite = 1024 * 1024;
const refusalsReported = 100;
const newline = 0x0a;
const byteOrderMark = '\uFEFF';
// `ignoreBOM` keeps a byte order mark, so that one within the file is refused.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Takes a file of records in, piece by piece, in commits of a few hundred. All are on disk when `finish` resolves. */
export class ReplayImport {
  readonly #replay: ReplayStore;
  readonly #reward: RewardSettings;
  readonly #pkg: Pick<Package, 'digest' | 'config'>;
  readonly #onChanged: () => void;
  readonly #maxLineBytes: number;
  readonly #rest: LineBuffer;
  #line = 0;
  #sinceTurn = 0;
  #sinceWrite = 0;
  #records: { readonly line: number; readonly record: ReplayRecord }[] = [];
  readonly #result = { imported: 0, skipped: 0, refused: 0 };
  readonly #refusals: { line: number; error: HoneError }[] = [];

  /**
   * @param reward has the ranges of the metrics
   * @param pkg the package that is served
   * @param onChanged called after each commit
   */
  constructor(
    replay: ReplayStore,
    reward: RewardSettings,
    pkg: Pick<Package, 'digest' | 'config'>,
    onChanged: () => void,
  ) {
    this.#replay = replay;
    this.#reward = reward;
    this.#pkg = pkg;
    const expected = pkg.config.contextLength * lineBytesPerToken;
    this.#maxLineBytes = Math.min(mostMaxLineBytes, Math.max(leastMaxLineBytes, expected));
    this.#rest = new LineBuffer(this.#maxLineBytes);
    this.#onChanged = onChanged;
  }

  /** @throws HoneError `STORE_FULL`, `STORE_BUSY`, `DRAINING` */
  async add(bytes: Buffer): Promise<void> {
    let from = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
      this.#rest.add(bytes.subarray(from, end));
      await this.#endLine();
      from = end + 1;
    }
    this.#rest.add(bytes.subarray(from));
  }

  /** Takes the last line, with or without a newline, and resolves when everything is on disk. */
  async finish(): Promise<ImportResult> {
    await this.#endLine();
    await this.#write();
    return { ...this.#result, refusals: this.#refusals.sort((a, b) => a.line - b.line) };
  }

  async #endLine(): Promise<void> {
    const line = this.#rest.end();
    this.#line += 1;
    this.#takeRecord(line);
    this.#sinceTurn += Math.max(charactersPerLine, line?.length ?? 0);
    if (this.#records.length >= recordsPerWrite || this.#sinceWrite >= charactersPerWrite) await this.#write();
    if (this.#sinceTurn < charactersPerTurn) return;
    this.#sinceTurn = 0;
    await nextTurn();
  }

  #takeRecord(line: Uint8Array | null): void {
    try {
      if (line === null)
        throw new HoneError(
          'INVALID_REQUEST',
          `the line is longer than ${this.#maxLineBytes} bytes, which no record of the served package is`,
        );
      const text = this.#decode(line);
      if (text.trim() === '') return;
      this.#sinceWrite += text.length;
      const record = parseRecord(text);
      checkRange(record, this.#reward);
      checkImported(record, this.#pkg);
      this.#records.push({ line: this.#line, record });
    } catch (thrown) {
      this.#refuse(this.#line, HoneError.from(thrown));
    }
  }

  /** @throws HoneError `INVALID_REQUEST` if the line is not UTF-8 */
  #decode(bytes: Uint8Array): string {
    let text: string;
    try {
      text = utf8.decode(bytes);
    } catch {
      throw new HoneError('INVALID_REQUEST', 'the line is not UTF-8');
    }
    // Some programs begin a file with a byte order mark.
    return this.#line === 1 && text.startsWith(byteOrderMark) ? text.slice(1) : text;
  }

  async #write(): Promise<void> {
    const records = this.#records;
    this.#records = [];
    this.#sinceWrite = 0;
    if (records.length === 0) return;
    const outcomes = await whenPossible(() => this.#replay.importRecords(records.map(({ record }) => record)));
    for (const [index, outcome] of outcomes.entries()) this.#count(records[index]?.line ?? 0, outcome);
    this.#onChanged();
  }

  #count(line: number, outcome: ImportOutcome): void {
    if (outcome.status === 'refused') this.#refuse(line, new HoneError(outcome.code, outcome.message));
    else this.#result[outcome.status] += 1;
  }

  #refuse(line: number, error: HoneError): void {
    this.#result.refused += 1;
    if (this.#refusals.length < refusalsReported) this.#refusals.push({ line, error });
  }
}

/** @throws HoneError `INVALID_REQUEST` for a score outside the range of its metric */
function checkRange(record: ReplayRecord, reward: RewardSettings): void {
  if (record.type !== 'score') return;
  const { metric, value } = record.score;
  const range = rangeOf(reward, metric);
  if (isInRange(value, range)) return;
  const description = outsideRange(metric, range, value);
  throw new HoneError('INVALID_REQUEST', `value: ${description}`, { violations: [{ field: 'value', description }] });
}

/** Tries again while the queue of the store is full, which holds the sender or the reader up. */
async function whenPossible<Result>(work: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (error.code !== 'QUEUE_FULL') throw error;
      await delay(error.retryAfterMs ?? 100);
    }
  }
}
