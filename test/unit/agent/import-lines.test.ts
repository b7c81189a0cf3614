/** How the bytes of an import become lines. */

import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { exportReplay, type ImportResult, ReplayImport } from '../../../src/agent/transfer.js';
import { OwnTurns } from '../../../src/process/own-turns.js';
import { openReplayStore } from '../../../src/replay/index.js';
import { checkRewardSettings } from '../../../src/reward/settings.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, scoreWrite } from '../../support/replay/records.js';

async function openStore() {
  const store = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
  onTestFinished(() => store.close());
  return store;
}

const pkg = { digest: 'another', config: { contextLength: 8192 } } as ConstructorParameters<typeof ReplayImport>[2];

const ids = [1, 2, 3].map((n) => `00000000-0000-7000-8000-00000000000${n}`);

/** An export of three generations with a score each. */
async function exported(): Promise<string> {
  const store = await openStore();
  await store.admit(ids.map((id) => admission(id)));
  await store.complete(ids.map((id) => completion(id)));
  await store.write(ids.map((id) => scoreWrite(id, 1)));
  let text = '';
  for await (const { lines } of exportReplay(store, {}, new OwnTurns())) text += lines;
  return text;
}

async function importBytes(bytes: Buffer, pieceBytes = bytes.length): Promise<ImportResult> {
  const taken = new ReplayImport(await openStore(), checkRewardSettings(), pkg, () => undefined);
  for (let from = 0; from < bytes.length; from += pieceBytes) await taken.add(bytes.subarray(from, from + pieceBytes));
  return taken.finish();
}

it.each([
  ['begins with a byte order mark', (text: string) => `\uFEFF${text}`],
  ['has carriage returns', (text: string) => text.replaceAll('\n', '\r\n')],
  ['has blank lines', (text: string) => `\n  \n${text.replaceAll('\n', '\n\n')}`],
  ['ends without a line feed', (text: string) => text.trimEnd()],
  ['has all of these', (text: string) => `\uFEFF${text.replaceAll('\n', '\r\n\r\n').trimEnd()}`],
])('a file is imported whole if it %s, however it is cut', async (_, change) => {
  const bytes = Buffer.from(change(await exported()));
  for (const pieceBytes of [1, 7, bytes.length]) {
    expect(await importBytes(bytes, pieceBytes)).toEqual({ imported: 6, skipped: 0, refused: 0, refusals: [] });
  }
});

it('a byte order mark within the file, and bytes that are no UTF-8, refuse their line alone', async () => {
  const lines = (await exported()).trimEnd().split('\n');
  const [first = '', second = '', third = ''] = lines;
  const bytes = Buffer.concat([
    Buffer.from(`${first}\n\uFEFF${second}\n`),
    Buffer.from(third.replace('Sleep', 'Sl\u00e9\u00e9p'), 'latin1'),
    Buffer.from(`\n${second}`),
  ]);
  const { imported, refusals } = await importBytes(bytes);
  expect(imported).toBe(2);
  expect(refusals.map(({ line, error }) => [line, error.message])).toEqual([
    [2, 'the line is not JSON'],
    [3, 'the line is not UTF-8'],
  ]);
});

it('a line beyond the limit is refused with its number, and the lines around it are imported', async () => {
  const [first = '', second = ''] = (await exported()).split('\n');
  const long = Buffer.alloc(3 * 1024 * 1024, 'x');
  const bytes = Buffer.concat([Buffer.from(`${first}\n`), long, Buffer.from(`\n${second}\n`), long]);
  const { imported, refused, refusals } = await importBytes(bytes, 1024 * 1024);
  expect([imported, refused]).toEqual([2, 2]);
  expect(refusals.map(({ line, error }) => [line, error.code])).toEqual([
    [2, 'INVALID_REQUEST'],
    [4, 'INVALID_REQUEST'],
  ]);
  expect(refusals[0]?.error.message).toContain('2097152 bytes');
});

it('an export that its caller leaves is ended', async () => {
  const store = await openStore();
  const many = Array.from({ length: 100 }, (_, i) => `g${i}`);
  await store.admit(many.map((id) => admission(id)));
  await store.complete(many.map((id) => completion(id)));
  // The store takes sixteen at once.
  for (let i = 0; i < 40; i++) for await (const _ of exportReplay(store, {}, new OwnTurns())) break;
  expect((await store.exportPage({ after: 0 })).records).not.toEqual([]);
});
