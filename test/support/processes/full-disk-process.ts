/**
 * A process on a small disk: it stores something, ends as told, fills the disk, opens the store again and tells what works,
 * makes room, and tells what works then.
 */

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openReplayReader, openReplayStore, type ReplayStore } from '../../../src/replay/index.js';
import { clearDisk, fillDisk } from '../file-systems.js';
import { admission, completion, scoreWrite } from '../replay/records.js';
import { until } from '../until.js';

const [folder = '', ending = ''] = process.argv.slice(2);
const path = join(folder, 'replay.sqlite');

async function fill(store: ReplayStore): Promise<void> {
  await store.admit([admission('a'), admission('b', { subject: 'to erase' }), admission('running')]);
  await store.complete([completion('a'), completion('b')]);
  await store.write([scoreWrite('a', 0.5)]);
}

const first = await openReplayStore({ path });
await fill(first);
if (ending === 'crash') {
  // What a killed process leaves: the last commits are in the log, and the index of the log is there.
  const crashed = join(folder, 'crashed');
  for (const suffix of ['', '-wal', '-shm']) cpSync(`${path}${suffix}`, `${crashed}${suffix}`);
  await first.close();
  for (const suffix of ['', '-wal', '-shm']) {
    cpSync(`${crashed}${suffix}`, `${path}${suffix}`);
    rmSync(`${crashed}${suffix}`);
  }
} else {
  await first.close();
}
fillDisk(folder);

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );
const store = await openReplayStore({ path }).catch((error: { code: string }) => error.code);
if (typeof store === 'string') {
  process.send?.({ refused: store });
} else {
  const full = {
    generations: (await store.readGenerations(['a', 'b', 'running'])).map(({ state }) => state),
    scores: (await store.readScores(['a'])).map(({ value }) => value),
    counted: (await store.status()).generations,
    exported: (await store.exportPage({ after: 0 })).records.length,
    // The log of a crash has room inside its last page at most.
    admitted: await codeOf(store.admit([admission('large', { promptJson: JSON.stringify('x'.repeat(200_000)) })])),
    erased: await codeOf(store.eraseSubject('nobody')),
  };
  const reader = openReplayReader(path);
  clearDisk(folder);
  await until(async () => (await codeOf(store.write([scoreWrite('a', 1)]))) === 'done', 'there is room for a score');
  const room = {
    generations: (await store.readGenerations(['a', 'b', 'running'])).map(({ state }) => state),
    erased: (await store.eraseSubject('to erase')).generations,
    counted: (await store.status()).generations,
    read: reader.readScores(['a']).map(({ value }) => value),
  };
  reader.close();
  await store.close();
  process.send?.({ full, room });
}
process.disconnect();
