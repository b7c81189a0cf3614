/** How the store's worker goes on when its file can be opened for writing again, or not. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BatchedRequest, WorkerSettings } from '../../../src/replay/messages.js';
import { openAgain, openSession } from '../../../src/replay/session.js';
import { temporaryFolder } from '../../support/folders.js';

const read: BatchedRequest = { id: 7, type: 'readGenerations', items: ['a'] };

test('a file that can be opened neither for writing nor for reading is tried again, and requests are refused until then', () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const settings: WorkerSettings = {
    path,
    busyTimeoutMs: 0,
    onFullDisk: 'read',
    maxLogBytes: 2 ** 20,
    logHeldAfterMs: 60_000,
    maxFileBytes: null,
    maxBytes: null,
    maxAgeMs: null,
    nowMs: 0,
    clearForMs: 0,
  };
  const post = (): void => undefined;
  const first = openSession(settings, post);
  first.close();
  const stored = readFileSync(path);
  writeFileSync(path, 'not a database, '.repeat(1024));
  const closed = openAgain({ ...first, close: () => undefined }, settings, post);
  expect(closed.upkeep).toBeNull();
  expect(closed.commits.run([read])).toMatchObject({ replies: [{ type: 'failed', id: 7 }], blocked: [] });
  writeFileSync(path, stored);
  const again = openAgain(closed, settings, post);
  expect(again.upkeep).not.toBeNull();
  expect(again.commits.run([read])).toMatchObject({ replies: [{ type: 'done', id: 7, result: [] }] });
  again.close();
});
