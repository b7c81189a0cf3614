/** When a server collects garbage because of what arrives. */

import { expect, it } from 'vitest';
import { GarbagePace, garbageBytes } from '../../../server/grpc/garbage-pace.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('collects the young generation after some bytes, and the whole heap after more', async () => {
  const collected: string[] = [];
  const pace = new GarbagePace(({ type }) => collected.push(type));
  const parts = 4;
  for (let i = 0; i < (garbageBytes.whole / garbageBytes.young) * parts; i++) {
    pace.arrived(garbageBytes.young / parts);
    await turn();
  }
  expect(collected).toEqual(['minor', 'minor', 'minor', 'major']);
});

it('collects once in a turn, however much arrives in it', async () => {
  const collected: string[] = [];
  const pace = new GarbagePace(({ type }) => collected.push(type));
  for (let i = 0; i < 9; i++) pace.arrived(garbageBytes.young);
  await turn();
  expect(collected).toEqual(['major']);
});

it('leaves a process alone that cannot collect', async () => {
  const pace = new GarbagePace(undefined);
  pace.arrived(garbageBytes.whole);
  await turn();
});
