/**
 * The second place that knows which event numbers were given: the file `events.last`, so that no number is given twice,
 * whatever becomes of `events.jsonl`.
 *
 * It has one line of a fixed length that is overwritten in place, which also works on a full disk. `last` is written
 * before each event and survives a kill. A power loss may take it, so numbers are also reserved in blocks: `reserved`
 * is forced to the disk before the first number of a block is given. After the system has started again, numbers go on
 * above the reserved ones, unless the server had closed the file.
 */

import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fileSystemError, systemCode } from '../../file-system-errors.js';

/** Numbers that are reserved at once. */
const numbersReserved = 1024;
/** Digits of a number in the file. */
const digits = 16;

interface Position {
  /** The last number that was given. */
  readonly last: number;
  /** No number above this one was given. */
  readonly reserved: number;
  /** Names the run of the system; empty if it is not known. */
  readonly boot: string;
}

/** What is known of the numbers when the file is opened. */
export interface KnownPosition {
  /** `missing`: a new journal, or one of an earlier Hone. */
  readonly state: 'known' | 'missing' | 'damaged';
  /** The highest number that may have been given; 0 if none is known. */
  readonly given: number;
  /** Whether the system ended without warning since, so that numbers up to `given` may or may not have been given. */
  readonly isGuess: boolean;
}

export class EventPosition {
  readonly #path: string;
  readonly #boot: string;
  #file: number | null = null;
  #last = 0;
  #reserved = 0;

  /** @param boot names the run of the system; empty if it is not known */
  constructor(path: string, boot: string) {
    this.#path = path;
    this.#boot = boot;
  }

  /** @throws HoneError if the system cannot read the file */
  read(): KnownPosition {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (thrown) {
      if (systemCode(thrown) === 'ENOENT') return { state: 'missing', given: 0, isGuess: false };
      throw fileSystemError(thrown, `${this.#path} cannot be read`);
    }
    const position = parse(text);
    if (position === null) return { state: 'damaged', given: 0, isGuess: false };
    const { last, reserved, boot } = position;
    const isGuess = last < reserved && (boot === '' || boot !== this.#boot);
    return { state: 'known', given: isGuess ? reserved : last, isGuess };
  }

  /** The number counts as given once this returns. @throws an error of the system if the file cannot be written */
  give(number: number): void {
    this.#last = number;
    if (number > this.#reserved) this.#reserve(number + numbersReserved);
    else this.#write(this.#reserved);
  }

  /** Gives back the numbers that are reserved and closes the file. @throws an error of the system */
  close(): void {
    if (this.#file === null) return;
    try {
      this.#reserve(this.#last);
    } finally {
      closeSync(this.#file);
      this.#file = null;
    }
  }

  #reserve(upTo: number): void {
    this.#write(upTo);
    fdatasyncSync(this.#open());
    this.#reserved = upTo;
  }

  #write(reserved: number): void {
    const numbers = `"last":${padded(this.#last)},"reserved":${padded(reserved)}`;
    writeSync(this.#open(), `{"format":1,${numbers},"boot":"${this.#boot}"}\n`, 0, 'utf8');
  }

  #open(): number {
    if (this.#file !== null) return this.#file;
    const isNew = !existsSync(this.#path);
    this.#file = openSync(this.#path, isNew ? 'wx' : 'r+', 0o600);
    // A damaged file may be longer than a line. Cutting an empty file to nothing needs no room on the disk.
    if (!isNew && parse(readFileSync(this.#path, 'utf8')) === null) ftruncateSync(this.#file);
    if (isNew) syncFolder(dirname(this.#path));
    return this.#file;
  }
}

/** Numbers have leading spaces, which JSON allows, so that the line has the same length each time. */
function padded(number: number): string {
  return String(number).padStart(digits, ' ');
}

function parse(text: string): Position | null {
  try {
    const { format, last, reserved, boot } = Object(JSON.parse(text));
    const isWhole = format === 1 && typeof boot === 'string' && Number.isSafeInteger(last) && last >= 0;
    return isWhole && Number.isSafeInteger(reserved) && reserved >= last ? { last, reserved, boot } : null;
  } catch {
    return null;
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Names the present run of the system, on Linux; empty elsewhere. */
export function bootOfSystem(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
