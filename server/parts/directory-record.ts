/**
 * What a data directory holds, known from a second place: the file `directory.json`.
 *
 * The other files of the directory have one writer each. If one of them is missing, empty or older at the next start, this
 * record tells a loss from a new directory. It is small, is replaced as a whole and is on disk before what depends on it.
 * The version log and the numbers of events have second places of their own (`versions.copy.jsonl`, `events.last`), so this
 * record knows only that they were there and how far they had come at the last start or stop.
 */

import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type Mode, modes } from '../../src/agent/rollout/modes.js';
import { HoneError } from '../../src/errors.js';
import { fileSystemError, systemCode } from '../../src/file-system-errors.js';
import { SerialQueue } from '../../src/process/serial-queue.js';
import { writeFileDurably } from '../../src/versions/index.js';

/** What the directory held when the record was written. */
export interface HeldState {
  /** Absent until a mode was stored. */
  readonly mode?: Mode;
  /** Files that were there, by their paths in the directory. */
  readonly files: readonly string[];
  /** The next version had at least this number. */
  readonly nextVersion: number;
  /** Events up to this number were given. */
  readonly lastEvent: number;
  /** Changes of the store up to this number were made. */
  readonly lastChange: number;
}

const nothing: HeldState = { files: [], nextVersion: 0, lastEvent: 0, lastChange: 0 };
const format = 1;

/** Files whose loss a start must notice. Those in folders are found by {@link heldFiles}. */
const watched = [
  'replay.sqlite',
  'mode.json',
  'trial.json',
  'events.jsonl',
  'events.last',
  'versions/log.jsonl',
  'versions.copy.jsonl',
  'learner/checkpoint.safetensors',
];

export class DirectoryRecord {
  readonly #directory: string;
  readonly #path: string;
  readonly #queue = new SerialQueue('the record of the data directory is closed');
  #held: HeldState;
  /** Whether the record itself was there and could be read. */
  readonly isKnown: boolean;
  /** Files that were there, and were missing when the record was opened. */
  readonly lost: readonly string[];

  private constructor(directory: string, path: string, held: HeldState | null) {
    this.#directory = directory;
    this.#path = path;
    this.#held = held ?? nothing;
    this.isKnown = held !== null;
    this.lost = this.#held.files.filter((name) => !existsSync(join(directory, name)));
  }

  /**
   * Reads the record. A directory of an earlier Hone has none, and gets one.
   * @param onRebuilt called if the record is lost or damaged
   * @throws HoneError `STORE_TOO_NEW` if a later Hone wrote it
   */
  static open(directory: string, onRebuilt: (what: string) => void): DirectoryRecord {
    const path = join(directory, 'directory.json');
    const held = read(path);
    if (held === 'damaged') {
      renameSync(path, `${path}.damaged`);
      onRebuilt(`${path} was damaged and is made again from the other files; the old one is ${path}.damaged`);
    }
    const later = ['versions.copy.jsonl', 'events.last'].find((name) => existsSync(join(directory, name)));
    if (held === 'missing' && later !== undefined) {
      onRebuilt(`${path} was missing, though ${later} is there; it is made again from the other files`);
    }
    return new DirectoryRecord(directory, path, typeof held === 'string' ? null : held);
  }

  get held(): HeldState {
    return this.#held;
  }

  /** Records which files the directory holds now, and these figures; on disk when it resolves. @throws as {@link update} */
  recordAll(figures: Pick<HeldState, 'nextVersion' | 'lastEvent' | 'lastChange'>): Promise<void> {
    return this.update({ ...figures, files: heldFiles(this.#directory) });
  }

  /** Changes the record; on disk when it resolves. @throws HoneError `STORE_FULL` and other errors of the disk */
  update(change: Partial<HeldState>): Promise<void> {
    return this.#queue.run(async () => {
      const next = { ...this.#held, ...change };
      try {
        await writeFileDurably(this.#path, `${JSON.stringify({ format, ...next })}\n`);
      } catch (thrown) {
        throw fileSystemError(thrown, `${this.#path} cannot be written`);
      }
      this.#held = next;
    });
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}

function heldFiles(directory: string): string[] {
  const raters = existsSync(join(directory, 'raters')) ? readdirSync(join(directory, 'raters')) : [];
  const places = raters.filter((name) => !name.startsWith('.')).map((name) => `raters/${name}`);
  return [...watched.filter((name) => existsSync(join(directory, name))), ...places];
}

function read(path: string): HeldState | 'missing' | 'damaged' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return 'missing';
    throw fileSystemError(thrown, `${path} cannot be read`);
  }
  let value: Partial<HeldState> & { readonly format?: unknown };
  try {
    value = Object(JSON.parse(text));
  } catch {
    return 'damaged';
  }
  if (typeof value.format === 'number' && value.format > format) {
    throw new HoneError(
      'STORE_TOO_NEW',
      `${path} has format ${value.format}, this build reads formats up to ${format}. Run the newer Hone that wrote it.`,
    );
  }
  const { mode, files, nextVersion, lastEvent, lastChange } = value;
  const numbers = [nextVersion, lastEvent, lastChange];
  const isWhole =
    value.format === format &&
    numbers.every((number) => Number.isSafeInteger(number) && Number(number) >= 0) &&
    Array.isArray(files) &&
    files.every((name) => typeof name === 'string') &&
    (mode === undefined || modes.includes(mode));
  if (!isWhole) return 'damaged';
  const counts = { nextVersion, lastEvent, lastChange } as Pick<HeldState, 'nextVersion' | 'lastEvent' | 'lastChange'>;
  return { ...counts, files, ...(mode === undefined ? {} : { mode }) };
}
