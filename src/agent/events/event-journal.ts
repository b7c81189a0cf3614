/**
 * Keeps the newest events in a file of JSON lines.
 *
 * A line reaches the operating system before any watcher sees its event, so that no number is given twice after a kill.
 * Lines are not synced, so a power loss may take the last ones. A torn last line is left out. Writes are synchronous:
 * events are few and short, and writing one costs less than a turn through the thread pool.
 */

import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { HoneError } from '../../errors.js';
import type { EventJournal } from './event-log.js';
import type { LoopEvent } from './types.js';

/**
 * Opens (or creates) the journal, 0600.
 * @param capacity number of events that are kept; the file holds at most four times as many
 * @param onError called when a line could not be written; the loop goes on without it
 * @throws HoneError `INTERNAL` if the file cannot be read or written
 */
export function openEventJournal(path: string, capacity: number, onError: (error: HoneError) => void): EventJournal {
  const restored = readEvents(path).slice(-capacity);
  let kept = [...restored];
  let lines = kept.length;
  let file = rewrite(path, kept);

  return {
    restored,
    append(event) {
      kept.push(event);
      lines += 1;
      if (kept.length >= capacity * 2) kept = kept.slice(-capacity);
      try {
        if (lines < capacity * 4) {
          writeSync(file, toLines([event]));
          return;
        }
        kept = kept.slice(-capacity);
        const next = rewrite(path, kept);
        // The old file is closed last. If rewriting failed, its descriptor would soon belong to another file.
        closeSync(file);
        file = next;
        lines = kept.length;
      } catch (error) {
        onError(HoneError.from(error));
      }
    },
    close: () => closeSync(file),
  };
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

function readEvents(path: string): LoopEvent[] {
  const events: LoopEvent[] = [];
  for (const line of readIfThere(path).split('\n')) {
    const event = parseLine(line);
    if (event === undefined) continue;
    // The ring is numbered without gaps, so only the events after a gap can be resumed from.
    if (events.length > 0 && event.sequence !== (events.at(-1)?.sequence ?? 0) + 1) events.length = 0;
    events.push(event);
  }
  return events;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw HoneError.from(error);
  }
}

function parseLine(line: string): LoopEvent | undefined {
  try {
    const event = JSON.parse(line) as LoopEvent;
    return Number.isInteger(event.sequence) ? event : undefined;
  } catch {
    return undefined;
  }
}
