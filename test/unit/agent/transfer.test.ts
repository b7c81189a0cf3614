import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ReplayImport } from '../../../src/agent/transfer.js';
import type { Package } from '../../../src/package/index.js';
import type { ReplayStore } from '../../../src/replay/index.js';
import { defaultRewardSettings } from '../../../src/reward/settings.js';

/** Counts the turns that other work on the event loop gets until the promise settles. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let isOver = false;
  void work.finally(() => {
    isOver = true;
  });
  let turns = 0;
  for (; !isOver; turns++) await nextTurn();
  await work;
  return turns;
}

it.each([
  ['empty', '\n'],
  ['of spaces', ' \n'],
  ['refused', '{}\n'],
  ['without JSON', 'x\n'],
])('an import of many lines that are %s gives other work a turn after some hundred of them', async (_, line) => {
  const pkg = { config: { contextLength: 512 } } as Package;
  const taking = new ReplayImport({} as ReplayStore, defaultRewardSettings, pkg, () => undefined);
  const lines = 20_000;
  const turns = await turnsDuring(taking.add(Buffer.from(line.repeat(lines))));
  expect(turns).toBeGreaterThan(lines / 256);
  expect((await taking.finish()).refused).toBe(line.trim() === '' ? 0 : lines);
});
