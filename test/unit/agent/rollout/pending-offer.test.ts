import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type CandidateEvent, PendingOffer } from '../../../../src/agent/rollout/pending-offer.js';
import { temporaryFolder } from '../../../support/folders.js';

function candidate(folder: string, name: string): CandidateEvent {
  const directory = join(folder, name);
  mkdirSync(directory, { recursive: true });
  return { type: 'candidate', directory, adapterDigest: name, parent: 0, metrics: {}, lessons: [] };
}

it('waits from the moment on that it is put there, and only the last of several waits', async () => {
  const offer = new PendingOffer();
  const folder = temporaryFolder();
  const [first, second, third] = ['1', '2', '3'].map((name) => candidate(folder, name)) as [
    CandidateEvent,
    CandidateEvent,
    CandidateEvent,
  ];
  const puts = [first, second, third].map((one) => offer.put(one));
  expect(offer.take()).toBe(third);
  await Promise.all(puts);
  expect(offer.take()).toBeNull();
  expect([first, second, third].map(({ directory }) => existsSync(directory))).toEqual([false, false, true]);
});

it('keeps the files of one that is written anew', async () => {
  const offer = new PendingOffer();
  const folder = temporaryFolder();
  await offer.put(candidate(folder, '4'));
  await offer.put(candidate(folder, '4'));
  expect(existsSync(join(folder, '4'))).toBe(true);
  await offer.drop();
  expect(existsSync(join(folder, '4'))).toBe(false);
});
