/**
 * Keeps the newest events in a file of JSON lines. Lines reach the operating system in order but are not synced: after
 * a kill they are there, after a power loss the last may be missing. A torn last line is left out.
 */

import { appendFile, readFile, rename, writeFile } from 'node:fs/promises';
import type { EventJournal } from './event-log.js';
import type { LoopEvent } from './types.js';

/**
 * Opens (or creates) the journal, 0600.
 * @param capacity events kept; the file holds at most four times as many
 * @param onError told when a line could not be written; the loop goes on without it
 */
export async function openEventJournal(
  path: string,
  capacity: number,
  onError: (error: unknown) => void,
): Promise<EventJournal> {
  const restored = (await readEvents(path)).slice(-capacity);
  await rewrite(path, restored);
  let kept = [...restored];
  let lines = kept.length;
  let waiting: LoopEvent[] = [];
  let writing: Promise<void> = Promise.resolve();

  const flush = async () => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    kept = [...kept, ...batch].slice(-capacity);
    lines += batch.length;
    try {
      if (lines < capacity * 4) await appendFile(path, toLines(batch));
      else {
        await rewrite(path, kept);
        lines = kept.length;
      }
    } catch (error) {
      onError(error);
    }
  };

  return {
    restored,
    append(event) {
      waiting.push(event);
      if (waiting.length === 1) writing = writing.then(flush);
    },
    close: () => writing,
  };
}

function toLines(events: readonly LoopEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

async function rewrite(path: string, events: readonly LoopEvent[]): Promise<void> {
  await writeFile(`${path}.new`, toLines(events), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function readEvents(path: string): Promise<LoopEvent[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const events: LoopEvent[] = [];
  for (const line of text.split('\n')) {
    const event = parseLine(line);
    // The ring is numbered without gaps: after one, only the newer part can be resumed from.
    if (event === undefined) continue;
    if (events.length > 0 && event.sequence !== (events.at(-1)?.sequence ?? 0) + 1) events.length = 0;
    events.push(event);
  }
  return events;
}

function parseLine(line: string): LoopEvent | undefined {
  try {
    const event = JSON.parse(line) as LoopEvent;
    return Number.isInteger(event.sequence) ? event : undefined;
  } catch {
    return undefined;
  }
}
