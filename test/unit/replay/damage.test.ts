/** Damage of single bytes, which a check of the tables alone does not find. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openReplayStore } from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission } from '../../support/replay/records.js';

test('opening a store whose index disagrees with its table throws and leaves the file as it is', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const store = await openReplayStore({ path });
  await store.admit(Array.from({ length: 50 }, (_, i) => admission(`generation-${i}`)));
  await store.close();
  const bytes = readFileSync(path);
  // The file holds the id twice, in the row and in the index. The test changes the index only, and keeps it in order.
  const places = positionsOf(bytes, 'generation-49');
  const page = indexPage(path);
  const inIndex = places.find((place) => Math.floor(place / 4096) + 1 === page) as number;
  bytes.write('x', inIndex + 'generation-4'.length);
  writeFileSync(path, bytes);
  const database = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
  expect(database.readPragma('quick_check')).toEqual(['ok']);
  database.close();
  await expect(openReplayStore({ path })).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringContaining('Nothing was changed.'),
  });
  expect(readFileSync(path)).toEqual(bytes);
});

function indexPage(path: string): number {
  const database = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
  const find = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_generations_1'";
  const page = database.prepareValue<[], number>(find).get();
  database.close();
  return page as number;
}

function positionsOf(bytes: Buffer, text: string): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
  return places;
}
