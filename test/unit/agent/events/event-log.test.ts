/** How events are kept and watched. */

import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openEventJournal } from '../../../../src/agent/events/event-journal.js';
import { EventLog } from '../../../../src/agent/events/event-log.js';
import type { LoopEvent } from '../../../../src/agent/events/types.js';
import { temporaryFolder } from '../../../support/folders.js';

const now = () => 1000;
const fail = (error: unknown) => {
  throw error;
};

async function take(events: AsyncIterable<readonly LoopEvent[]>, count: number): Promise<number[]> {
  const sequences: number[] = [];
  for await (const batch of events) {
    sequences.push(...batch.map(({ sequence }) => sequence));
    if (sequences.length >= count) break;
  }
  return sequences;
}

function publish(log: EventLog, count: number): void {
  for (let i = 0; i < count; i++) log.publish({ type: 'learner_progress', numbers: { i } });
}

describe('the event log', () => {
  it('resumes after a number without a gap, and goes on with new events', async () => {
    const log = new EventLog({ now, capacity: 10 });
    publish(log, 5);
    const watching = take(log.watch({ afterSequence: 3 }), 4);
    publish(log, 2);
    expect(await watching).toEqual([4, 5, 6, 7]);
  });

  it('begins with the next event if no number is given', async () => {
    const log = new EventLog({ now });
    publish(log, 3);
    const watching = take(log.watch({}), 1);
    publish(log, 1);
    expect(await watching).toEqual([4]);
  });

  it('gives all kept events after 0, and only the types that are asked for', async () => {
    const log = new EventLog({ now, capacity: 3 });
    publish(log, 8);
    log.publish({ type: 'version_promoted', version: 1 });
    expect((await take(log.watch({ afterSequence: 0 }), 1)).at(-1)).toBe(9);
    expect(await take(log.watch({ afterSequence: 0, types: ['version_promoted'] }), 1)).toEqual([9]);
  });

  it('refuses a number whose events are no longer kept, or that was never reached', async () => {
    const log = new EventLog({ now, capacity: 3 });
    publish(log, 20);
    await expect(take(log.watch({ afterSequence: 1 }), 1)).rejects.toMatchObject({ code: 'EVENTS_NOT_FOUND' });
    await expect(take(log.watch({ afterSequence: 21 }), 1)).rejects.toMatchObject({ code: 'EVENTS_NOT_FOUND' });
  });

  it('reports an error to a watcher that fell behind, but lets one be slow within the ring', async () => {
    const log = new EventLog({ now, capacity: 4 });
    publish(log, 1);
    const watcher = log.watch({ afterSequence: 0 });
    expect((await watcher.next()).value).toHaveLength(1);
    publish(log, 3);
    expect((await watcher.next()).value).toHaveLength(3);
    publish(log, 20);
    await expect(watcher.next()).rejects.toMatchObject({ code: 'EVENTS_NOT_FOUND' });
  });

  it('ends watchers when they abort and when the log closes, after the last event', async () => {
    const log = new EventLog({ now });
    const controller = new AbortController();
    const aborted = log.watch({}, controller.signal).next();
    controller.abort();
    expect((await aborted).done).toBe(true);
    const watcher = log.watch({});
    const last = watcher.next();
    publish(log, 1);
    log.close();
    expect((await last).value).toHaveLength(1);
    await expect(watcher.next()).rejects.toMatchObject({ code: 'DRAINING' });
  });
});

describe('the event journal', () => {
  let folder: string;
  beforeEach(async () => {
    folder = temporaryFolder();
  });

  const open = (capacity = 4) => {
    const journal = openEventJournal(join(folder, 'events.jsonl'), capacity, fail);
    return new EventLog({ now, capacity, journal });
  };

  it('keeps the numbering and the newest events over a restart', async () => {
    const first = open();
    publish(first, 6);
    first.close();
    const second = open();
    expect(second.lastSequence).toBe(6);
    publish(second, 1);
    expect(await take(second.watch({ afterSequence: 4 }), 3)).toEqual([5, 6, 7]);
    second.close();
  });

  it('leaves out a line that a crash cut short', async () => {
    const first = open();
    publish(first, 2);
    first.close();
    await appendFile(join(folder, 'events.jsonl'), '{"sequence":3,"atMs":1,"ty');
    const second = open();
    expect(second.lastSequence).toBe(2);
    second.close();
  });

  it('has an event before its watchers get it', async () => {
    const log = open();
    const watching = log.watch({}).next();
    publish(log, 1);
    // A journal that opens the file now stands for the process that follows a kill.
    expect(open().lastSequence).toBe(1);
    expect((await watching).done).toBe(false);
    log.close();
  });

  it('writes into no other file if it cannot be rewritten, and catches up when it can', async () => {
    const errors: unknown[] = [];
    const journal = openEventJournal(join(folder, 'events.jsonl'), 4, (error) => errors.push(error));
    const log = new EventLog({ now, capacity: 4, journal });
    await mkdir(join(folder, 'events.jsonl.new'));
    publish(log, 16);
    // This file gets the descriptor of the file that was closed last.
    const other = openSync(join(folder, 'other'), 'w');
    publish(log, 4);
    closeSync(other);
    expect(errors.length).toBeGreaterThan(0);
    expect(await readFile(join(folder, 'other'), 'utf8')).toBe('');
    await rmdir(join(folder, 'events.jsonl.new'));
    publish(log, 1);
    log.close();
    expect(open().lastSequence).toBe(21);
  });

  it('leaves a whole file in its place if it cannot be opened for writing', async () => {
    const first = open();
    publish(first, 5);
    first.close();
    const path = join(folder, 'events.jsonl');
    await writeFile(join(folder, 'events.last'), 'damaged');
    const errors: unknown[] = [];
    // The report about `events.last` comes after the file was read and before it is opened. A folder cannot be opened.
    const onRebuilt = () => {
      renameSync(path, `${path}.aside`);
      mkdirSync(path);
    };
    const journal = openEventJournal(path, 10, (error) => errors.push(error), { onRebuilt });
    expect(errors).toHaveLength(1);
    expect((await readdir(folder)).filter((name) => name.includes('damaged'))).toEqual([]);
    await rmdir(path);
    await rename(`${path}.aside`, path);
    const second = new EventLog({ now, capacity: 10, journal });
    publish(second, 1);
    second.close();
    const third = open(10);
    expect(await take(third.watch({ afterSequence: 0 }), 6)).toEqual([1, 2, 3, 4, 5, 6]);
    third.close();
  });

  it('stays small, and only its owner can read it', async () => {
    const log = open();
    publish(log, 50);
    log.close();
    const lines = (await readFile(join(folder, 'events.jsonl'), 'utf8')).trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(16);
    expect(JSON.parse(lines.at(-1) ?? '{}')).toMatchObject({ sequence: 50 });
    expect((await stat(join(folder, 'events.jsonl'))).mode & 0o777).toBe(0o600);
  });
});

describe('numbers of events', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });

  const file = (name: string) => join(folder, name);
  const open = (over: Parameters<typeof openEventJournal>[3] = {}) => {
    const reported: string[] = [];
    const journal = openEventJournal(file('events.jsonl'), 100, fail, {
      onRebuilt: (what) => reported.push(what),
      ...over,
    });
    return { log: new EventLog({ now, capacity: 100, journal }), journal, reported };
  };

  /** Publishes 20 events, and stops as a server does, or as a kill ends it. */
  async function used(end: 'stopped' | 'killed', boot = 'one'): Promise<void> {
    const { log } = open({ boot });
    publish(log, 20);
    if (end === 'stopped') log.close();
  }

  const damages: readonly (readonly [string, (text: string) => Promise<void>])[] = [
    ['missing', () => rm(file('events.jsonl'))],
    ['empty', () => writeFile(file('events.jsonl'), '')],
    ['cut off', (text) => writeFile(file('events.jsonl'), text.slice(0, text.length / 2))],
    ['garbage', () => writeFile(file('events.jsonl'), Buffer.alloc(2000, 0x8f))],
    ['an older one', (text) => writeFile(file('events.jsonl'), text.split('\n').slice(0, 5).join('\n').concat('\n'))],
  ];

  it.each(
    damages.flatMap(([kind, damage]) => (['stopped', 'killed'] as const).map((end) => [kind, end, damage] as const)),
  )('go on where they were if the file is %s after a server was %s, with a report', async (_, end, damage) => {
    await used(end);
    await damage(await readFile(file('events.jsonl'), 'utf8'));
    const { log, journal, reported } = open({ boot: 'one' });
    expect(reported).toEqual([expect.stringMatching(/events up to 20 were given; numbers go on with 21/)]);
    expect(journal.restored).toEqual([]);
    publish(log, 1);
    expect(await take(log.watch({ afterSequence: 0 }), 1)).toEqual([21]);
    // Whoever saw an earlier event is told that some are missing, and is not given others in their place.
    await expect(take(log.watch({ afterSequence: 7 }), 1)).rejects.toMatchObject({ code: 'EVENTS_NOT_FOUND' });
    log.close();
    expect(open({ boot: 'one' })).toMatchObject({ reported: [], log: { lastSequence: 21 } });
  });

  it('go on without a gap after a kill', async () => {
    await used('killed');
    const { log, reported } = open({ boot: 'one' });
    expect(reported).toEqual([]);
    publish(log, 1);
    expect(await take(log.watch({ afterSequence: 19 }), 2)).toEqual([20, 21]);
  });

  it('go on above every number that a power loss may have taken with it', async () => {
    await used('killed');
    // The lines and the last number were not forced to the disk.
    const text = await readFile(file('events.jsonl'), 'utf8');
    await writeFile(file('events.jsonl'), text.split('\n').slice(0, 12).join('\n').concat('\n'));
    const position = await readFile(file('events.last'), 'utf8');
    await writeFile(file('events.last'), position.replace(/"last": *20/, '"last":               12'));
    const { log, reported } = open({ boot: 'two' });
    expect(reported).toEqual([expect.stringContaining('the system ended while the server ran')]);
    expect(log.lastSequence).toBeGreaterThanOrEqual(20);
    publish(log, 3);
    log.close();
    expect(open({ boot: 'three' }).reported).toEqual([]);
  });

  it.each(['missing', 'empty', 'garbage'])('are known from the events if the second file is %s', async (kind) => {
    await used('stopped');
    if (kind === 'missing') await rm(file('events.last'));
    else await writeFile(file('events.last'), kind === 'empty' ? '' : 'x'.repeat(500));
    const { log, reported } = open({ boot: 'one' });
    expect(reported).toHaveLength(kind === 'missing' ? 0 : 1);
    publish(log, 1);
    expect(log.lastSequence).toBe(21);
    log.close();
    expect(JSON.parse(await readFile(file('events.last'), 'utf8'))).toMatchObject({ last: 21, reserved: 21 });
  });

  it('are not below one that another file knows', async () => {
    await used('stopped');
    await rm(file('events.last'));
    await rm(file('events.jsonl'));
    expect(open({ given: 17 }).log.lastSequence).toBe(17);
  });

  it('are given to no event after the log is closed', async () => {
    const { log } = open();
    publish(log, 2);
    log.close();
    publish(log, 1);
    expect(log.lastSequence).toBe(2);
  });

  it('drop what comes before a line that cannot be read, and keep the old file', async () => {
    await used('stopped');
    const text = await readFile(file('events.jsonl'), 'utf8');
    const damaged = text.replace('"sequence":9', '"seq\u0001ence":9');
    await writeFile(file('events.jsonl'), damaged);
    const { log, reported } = open({ boot: 'one' });
    expect(reported).toEqual([expect.stringContaining('held lines that could not be read')]);
    expect(await readFile(file('events.jsonl.damaged'), 'utf8')).toBe(damaged);
    publish(log, 1);
    expect(await take(log.watch({ afterSequence: 0 }), 12)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
  });
});
