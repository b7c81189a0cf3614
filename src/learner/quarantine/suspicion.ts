/**
 * Which pass of the engine is suspected to break the learner, and which of its rows.
 *
 * Before each pass, a note of it goes to a small file; after the pass, the note is taken back. The file is overwritten in
 * place and not forced to the disk: it is there to outlive the process, not a power cut. A process that finds a note knows
 * that the one before died in that pass. One death is no evidence, because anything can kill a process. A pass that was
 * broken off twice is suspected, and so is one that threw: its rows run alone, to find the one at fault.
 *
 * The draws of a step follow from its number, so a process that goes on from the checkpoint comes to the same pass again.
 */

import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { checkMove, type Moves } from '../../checked-moves.js';
import { HoneError } from '../../errors.js';

export type PassState =
  | 'trusted'
  /** A process died in it, once. */
  | 'broken_off'
  /** It threw, or processes died in it twice. Its rows are to run alone. */
  | 'suspected'
  /** Each of its rows ran alone. It is to run whole once more. */
  | 'cleared'
  /** It broke all the same, so it is too much at once: it runs row by row. */
  | 'in_parts';

export const passMoves: Moves<PassState> = {
  trusted: ['broken_off', 'suspected'],
  broken_off: ['trusted', 'suspected'],
  suspected: ['cleared', 'trusted'],
  cleared: ['trusted', 'in_parts'],
  in_parts: ['trusted'],
};

/** A pass while it runs. */
export interface RunningPass {
  /** Names the rows and what is computed of them. */
  readonly key: string;
  /** `trivial`: over two tokens that belong to no record, to see whether the engine works at all. */
  readonly part: 'whole' | 'alone' | 'trivial';
  /** The row, if it is alone. */
  readonly row?: string;
}

interface SuspicionFile {
  readonly format: typeof format;
  /** The pass that ran when this was written; null if none did. */
  readonly running: RunningPass | null;
  /** The pass that is not trusted; null if all are. */
  readonly pass: { readonly key: string; readonly state: PassState } | null;
  /** Rows in whose passes processes died while they were alone, with the number of deaths. */
  readonly alone: readonly (readonly [string, number])[];
}

const format = 1;
/** The note is padded to this length, so that a shorter one overwrites a longer one. */
const noteBytes = 4096;
const mostRows = 32;

export class Suspicion {
  readonly #path: string;
  #file: number | null = null;
  #pass: { readonly key: string; readonly state: PassState } | null = null;
  #alone = new Map<string, number>();

  /** @param path of the file; the folder must exist when it is opened */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Reads what the process before left, and opens the file for writing.
   * @returns the pass in which that process died; null if it ended between passes
   */
  open(): RunningPass | null {
    const { running, pass, alone } = readNote(this.#path);
    this.#pass = pass;
    this.#alone = new Map(alone);
    this.#file = openSync(this.#path, existsSync(this.#path) ? 'r+' : 'w', 0o600);
    if (running?.part === 'whole') this.#countBreak(running.key);
    if (running?.part === 'alone' && running.row !== undefined) this.died(running.row);
    this.#write(null);
    return running;
  }

  stateOf(key: string): PassState {
    return this.#pass?.key === key ? this.#pass.state : 'trusted';
  }

  /** Deaths of processes in a pass over this row alone. */
  deathsOf(row: string): number {
    return this.#alone.get(row) ?? 0;
  }

  /** Counts a death in a pass over this row alone. */
  died(row: string): void {
    const deaths = this.deathsOf(row) + 1;
    this.#alone.delete(row);
    this.#alone.set(row, deaths);
    for (const oldest of this.#alone.keys()) {
      if (this.#alone.size <= mostRows) break;
      this.#alone.delete(oldest);
    }
    this.#write(null);
  }

  /** Forgets the deaths of a row, because a pass over it alone has ended or because it was set aside. */
  acquit(row: string): void {
    if (this.#alone.delete(row)) this.#write(null);
  }

  /** A pass begins: the note outlives the process from here on. */
  begin(running: RunningPass): void {
    this.#write(running);
  }

  /** The pass has ended, whether it threw or not. */
  end(): void {
    this.#write(null);
  }

  /** Changes the state of a pass. @throws HoneError `INTERNAL` if {@link passMoves} does not have the move */
  moveTo(key: string, state: PassState): void {
    const from = this.stateOf(key);
    if (from === state) return;
    checkMove('a pass of the engine', passMoves, from, state);
    this.#pass = state === 'trusted' ? null : { key, state };
    this.#write(null);
  }

  /** Closes the file. Idempotent. */
  close(): void {
    if (this.#file === null) return;
    this.#write(null);
    closeSync(this.#file);
    this.#file = null;
  }

  #countBreak(key: string): void {
    const state = this.stateOf(key);
    if (state === 'trusted') this.moveTo(key, 'broken_off');
    else if (state === 'broken_off') this.moveTo(key, 'suspected');
    else if (state === 'cleared') this.moveTo(key, 'in_parts');
  }

  #write(running: RunningPass | null): void {
    if (this.#file === null) return;
    const note: SuspicionFile = { format, running, pass: this.#pass, alone: [...this.#alone] };
    try {
      writeSync(this.#file, `${JSON.stringify(note).padEnd(noteBytes)}\n`, 0);
    } catch (thrown) {
      throw HoneError.from(thrown);
    }
  }
}

/** A note that cannot be read accuses nobody. */
function readNote(path: string): Pick<SuspicionFile, 'running' | 'pass' | 'alone'> {
  const none = { running: null, pass: null, alone: [] };
  try {
    const note = JSON.parse(readFileSync(path, 'utf8').split('\n')[0] ?? '') as SuspicionFile;
    return note.format === format ? note : none;
  } catch {
    return none;
  }
}
