/** An export shows the store as it was when it began. */

import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ExportHistory } from '../../../src/replay/export-history.js';
import { Exporter } from '../../../src/replay/exporter.js';
import { type ExportFilter, formatRecord, openReplayStore, type ReplayStore } from '../../../src/replay/index.js';
import { openForWriting } from '../../../src/replay/open-file.js';
import { ReplayWriter } from '../../../src/replay/writer.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, editWrite, preferenceWrite, scoreWrite } from '../../support/replay/records.js';

const count = 200;
const ids = Array.from({ length: count }, (_, i) => `g${String(i).padStart(3, '0')}`);
const id = (i: number): string => ids[i] as string;

/** A store with finished generations, each with two scores, and preferences between neighbours; the last one still runs. */
async function openStore(): Promise<ReplayStore> {
  const store = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
  onTestFinished(() => store.close());
  await store.admit(ids.map((one, i) => admission(one, { subject: i % 2 === 0 ? 'even' : 'odd' })));
  await store.complete(ids.slice(0, -1).map((one) => completion(one)));
  await store.write(ids.flatMap((one) => [scoreWrite(one, 0.5), scoreWrite(one, 0.75, { rater: 'bob' })]));
  await store.write(ids.slice(1).map((one, i) => preferenceWrite(id(i), one, 'better')));
  return store;
}

/** Reads an export; `between` runs after its first page. */
async function readExport(store: ReplayStore, filter: ExportFilter = {}, between = async () => {}): Promise<string[]> {
  const lines: string[] = [];
  let page = await store.exportPage({ ...filter, after: 0 });
  await between();
  for (;;) {
    lines.push(...page.records.map(formatRecord));
    if (page.next === null) return lines;
    page = await store.exportPage({ ...filter, after: page.next, id: page.id });
  }
}

describe('an export', () => {
  it.each([{}, { scored: true }, { subject: 'odd' }])(
    'shows what was stored when it began, whatever is written meanwhile, with the filter %j',
    async (filter) => {
      const store = await openStore();
      const before = await readExport(store, filter);
      const during = await readExport(store, filter, async () => {
        const far = count - 20;
        await store.write([
          scoreWrite(id(far), 1),
          scoreWrite(id(far + 1), null),
          scoreWrite(id(far + 1), null, { rater: 'bob' }),
          scoreWrite(id(far + 1), 0.9),
          scoreWrite(id(far + 2), 0.1, { rater: 'cleo' }),
          scoreWrite(id(far + 2), 0.2, { rater: 'cleo' }),
          preferenceWrite(id(far), id(far + 1), 'worse'),
          preferenceWrite(id(far + 3), id(far + 2), null),
          preferenceWrite(id(far + 3), id(far + 2), 'tie'),
          preferenceWrite(id(far + 5), id(far + 9), 'better'),
          editWrite('edit', id(far), 'better so', 1),
        ]);
        await store.complete([completion(id(count - 1))]);
        await store.admit([admission('later')]);
        await store.complete([completion('later')]);
      });
      expect(during).toEqual(before);
      expect(await readExport(store, filter)).not.toEqual(before);
    },
  );

  it('leaves out what was erased meanwhile, with its feedback', async () => {
    const store = await openStore();
    const before = await readExport(store);
    const during = await readExport(store, {}, async () => {
      await store.write([scoreWrite(id(151), 1), preferenceWrite(id(150), id(151), null)]);
      await store.eraseSubject('odd');
    });
    // The first page, with the generations up to 63, was read before.
    const isGone = (line: string): boolean =>
      ids.some((one, i) => i % 2 === 1 && i >= 64 && line.includes(`"${one}"`)) ||
      (line.includes(`"${id(63)}"`) && line.includes(`"${id(64)}"`));
    expect(during).toEqual(before.filter((line) => !isGone(line)));
  });

  it('leaves out what was stored meanwhile in the place of the newest generations, which were removed', async () => {
    const store = await openStore();
    const before = await readExport(store);
    const newest = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5'];
    await store.admit(newest.map((one) => admission(one, { subject: 'newest' })));
    await store.complete(newest.map((one) => completion(one)));
    const [first] = await store.readGenerations([id(0)]);
    const during = await readExport(store, {}, async () => {
      await store.eraseSubject('newest');
      await store.admit([admission('running'), admission('ended')]);
      await store.complete([completion('ended')]);
      if (first === undefined) throw new Error('nothing is stored');
      await store.importRecords([{ type: 'generation', generation: { ...first, id: 'imported' } }]);
      await store.write([editWrite('edit', 'ended', 'better so', 1)]);
    });
    expect(during).toEqual(before);
    const after = (await readExport(store)).join();
    for (const one of ['ended', 'imported', 'edit']) expect(after).toContain(`"${one}"`);
    expect(after).not.toContain('"running"');
  });

  it('does not keep the log from being emptied', async () => {
    const path = join(temporaryFolder(), 'replay.sqlite');
    const store = await openReplayStore({ path, clearForMs: 600_000 });
    onTestFinished(() => store.close());
    await store.admit(ids.map((one) => admission(one, { subject: one })));
    await store.complete(ids.map((one) => completion(one)));
    await store.exportPage({ after: 0 });
    expect(await store.eraseSubject(id(count - 1))).toMatchObject({ logCleared: true });
  });

  it('is refused while too many run, until one of them has ended', async () => {
    const store = await openStore();
    const pages = await Promise.all(Array.from({ length: 16 }, () => store.exportPage({ after: 0 })));
    await expect(store.exportPage({ after: 0 })).rejects.toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: 1000 });
    await store.endExport(pages[3]?.id ?? 0);
    await store.exportPage({ after: 0 });
  });

  it('ends with an error when more was changed meanwhile than it keeps', () => {
    const path = join(temporaryFolder(), 'replay.sqlite');
    const database = openForWriting({ path, maxFileBytes: null, maxLogBytes: 2 ** 20 });
    onTestFinished(() => database.close());
    const history = new ExportHistory(database, 2);
    const writer = new ReplayWriter(database, history, 0);
    const exporter = new Exporter(database, history);
    writer.admit(ids.map((one) => admission(one)));
    writer.complete(ids.map((one) => completion(one)));
    for (const one of ids) writer.write(scoreWrite(one, 0));
    const { next, id: running } = exporter.page({ after: 0 });
    const rest = () => exporter.page({ after: next ?? 0, id: running });
    // A score that is replaced twice is kept once, and a new one needs no keeping.
    for (const value of [1, 2]) writer.write(scoreWrite(id(100), value));
    writer.write(scoreWrite(id(101), 1));
    writer.write(scoreWrite(id(102), 1, { rater: 'bob' }));
    expect(rest().records).toContainEqual({
      type: 'score',
      score: expect.objectContaining({ generationId: id(101), value: 0 }),
    });
    writer.write(scoreWrite(id(103), 1));
    expect(rest).toThrow(expect.objectContaining({ code: 'READER_STALLED' }));
  });
});
