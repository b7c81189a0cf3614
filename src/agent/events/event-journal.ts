/**
 * Keeps the newest events in a file of JSON lines.
 *
 * A line reaches the operating system before any watcher sees its event, so that no number is given twice after a kill.
 * Lines are not synced, so a power loss may take the last ones. A torn last line is left out. Writes are synchronous:
 * events are few and short, and writing one costs less than a turn through the thread pool.
 *
 * `event-position.ts` keeps in a second file which numbers were given. If the events up to the last of them are not there,
 * the numbers go on above it, and the events before are not offered: a watcher could not tell what it misses.
 */

import { closeSync, openSync, readFileSync, renameSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { HoneError } from '../../errors.js';
import { fileSystemError, systemCode } from '../../file-system-errors.js';
import type { EventJournal } from './event-log.js';
import { bootOfSystem, EventPosition, type KnownPosition } from './event-position.js';
import type { LoopEvent } from './types.js';

export interface EventJournalOptions {
  /** Called with what was lost or damaged and how it was rebuilt, while the journal opens. */
  readonly onRebuilt?: (what: string) => void;
  /** A number that something else knows to be given. Default 0. */
  readonly given?: number;
  /** Names the run of the system; for tests. */
  readonly boot?: string;
}

/**
 * Opens (or creates) the journal, 0600.
 * @param capacity number of events that are kept; the file holds at most four times as many
 * @param onError called when a line could not be written; the loop goes on without it, and later lines bring it
 * @throws HoneError `INTERNAL` if the files cannot be read
 */
export function openEventJournal(
  path: string,
  capacity: number,
  onError: (error: HoneError) => void,
  { onRebuilt = () => undefined, given: known = 0, boot = bootOfSystem() }: EventJournalOptions = {},
): EventJournal {
  const position = new EventPosition(join(dirname(path), 'events.last'), boot);
  const where = position.read();
  const found = readEvents(path);
  const last = found.events.at(-1)?.sequence ?? 0;
  const lastSequence = Math.max(last, known, where.given);
  for (const what of findings(path, found, last, lastSequence, where)) onRebuilt(what);
  const isComplete = last === lastSequence;
  const restored = isComplete ? found.events.slice(-capacity) : [];
  let kept = [...restored];
  let lines = found.lines;
  /** Null while the file lacks events, holds others or could not be opened: the next write makes it again. */
  const isWhole = isComplete && !found.isDamaged;
  let file = isWhole ? openWhole(path, found, onError) : null;

  function makeAgain(): void {
    kept = kept.slice(-capacity);
    const next = rewrite(path, kept);
    // The old file is closed last. If rewriting failed, its descriptor would soon belong to another file.
    if (file !== null) closeSync(file);
    file = next;
    lines = kept.length;
  }

  function guarded(write: () => void): void {
    try {
      write();
    } catch (thrown) {
      onError(fileSystemError(thrown, `events cannot be kept in ${path}`));
    }
  }

  // A whole file that could not be opened stays where it is: its events are kept, and the next write makes it again.
  if (!isWhole && found.text !== '') renameAside(path, onError);
  let hasGiven = false;
  return {
    restored,
    lastSequence,
    append(event) {
      // The second place knows the last number before the first one is given. A start that is refused changes nothing.
      if (!hasGiven) guarded(() => position.give(lastSequence));
      hasGiven = true;
      kept.push(event);
      lines += 1;
      if (kept.length >= capacity * 2) kept = kept.slice(-capacity);
      guarded(() => {
        if (file === null || lines >= capacity * 4) return makeAgain();
        try {
          writeSync(file, toLines([event]));
        } catch (thrown) {
          // A part of the line may be in the file.
          closeSync(file);
          file = null;
          throw thrown;
        }
      });
      // The line comes first: a kill in between must not look like a line that was lost.
      guarded(() => position.give(event.sequence));
    },
    close() {
      if (file !== null) closeSync(file);
      guarded(() => position.close());
    },
  };
}

/** What the file holds. */
interface FoundEvents {
  /** The newest events that are numbered without gaps. */
  readonly events: readonly LoopEvent[];
  readonly text: string;
  readonly lines: number;
  /** Whether a line other than a torn last one cannot be read, or numbers are missing. */
  readonly isDamaged: boolean;
  readonly isThere: boolean;
}

function readEvents(path: string): FoundEvents {
  const text = readIfThere(path);
  if (text === null) return { events: [], text: '', lines: 0, isDamaged: false, isThere: false };
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const lines = whole.split('\n').slice(0, -1);
  const events: LoopEvent[] = [];
  let isDamaged = whole === '' && text !== '';
  for (const line of lines) {
    const event = parseLine(line);
    const isNext =
      event !== undefined && (events.length === 0 || event.sequence === (events.at(-1)?.sequence ?? 0) + 1);
    if (!isNext) isDamaged = true;
    if (event === undefined) continue;
    // The ring is numbered without gaps, so only the events after a gap can be resumed from.
    if (!isNext) events.length = 0;
    events.push(event);
  }
  return { events, text, lines: lines.length, isDamaged, isThere: true };
}

function findings(
  path: string,
  { isThere, text, isDamaged }: FoundEvents,
  last: number,
  lastSequence: number,
  { state, isGuess }: KnownPosition,
): string[] {
  const what: string[] = [];
  const goesOn = `numbers go on with ${lastSequence + 1}, so that none is given twice`;
  if (last < lastSequence) {
    const has = isThere ? (text === '' ? 'was empty' : `ended with event ${last}`) : 'was missing';
    what.push(
      isGuess
        ? `the system ended while the server ran, so the newest events may be missing in ${path}; ${goesOn}`
        : `${path} ${has}, though events up to ${lastSequence} were given; ${goesOn}. Who watches goes on from 0, or from now on${text === '' ? '' : `; the old file is ${path}.damaged`}`,
    );
  } else if (isDamaged) {
    what.push(
      `${path} held lines that could not be read; the events after them are kept, the old file is ${path}.damaged`,
    );
  }
  if (state === 'damaged') what.push(`events.last was damaged and was made again from ${path}`);
  return what;
}

/** Opens a file that is whole but for a torn last line, which is cut off. A full disk does not keep from that. */
function openWhole(path: string, { text }: FoundEvents, onError: (error: HoneError) => void): number | null {
  try {
    const whole = text.lastIndexOf('\n') + 1;
    if (whole < text.length) truncateSync(path, Buffer.byteLength(text.slice(0, whole)));
    return openSync(path, 'a', 0o600);
  } catch (thrown) {
    onError(fileSystemError(thrown, `events cannot be kept in ${path}`));
    return null;
  }
}

function renameAside(path: string, onError: (error: HoneError) => void): void {
  try {
    renameSync(path, `${path}.damaged`);
  } catch (thrown) {
    onError(fileSystemError(thrown, `${path} cannot be put aside`));
  }
}

function toLines(events: readonly LoopEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

/** Replaces the file and opens it for appending. */
function rewrite(path: string, events: readonly LoopEvent[]): number {
  writeFileSync(`${path}.new`, toLines(events), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return openSync(path, 'a', 0o600);
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null;
    throw fileSystemError(thrown, `${path} cannot be read`);
  }
}

function parseLine(line: string): LoopEvent | undefined {
  try {
    const event = JSON.parse(line) as LoopEvent;
    return Number.isSafeInteger(event.sequence) && event.sequence > 0 ? event : undefined;
  } catch {
    return undefined;
  }
}
