/** The files of offers that do not become versions. */

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type PendingOffer, removeOfferFiles } from '../../../../src/agent/rollout/pending-offer.js';
import { temporaryFolder } from '../../../support/folders.js';

function offer(): PendingOffer {
  const directory = join(temporaryFolder(), 'offer');
  mkdirSync(directory);
  return { type: 'candidate', directory, adapterDigest: 'a', parent: 0, metrics: {}, lessons: [] };
}

it('removes the files of an offer, and does not mind if they are missing', async () => {
  const pending = offer();
  await removeOfferFiles(pending, '/elsewhere');
  expect(existsSync(pending.directory)).toBe(false);
  await removeOfferFiles(pending);
});

it('keeps the directory of an offer if the newer offer was written there', async () => {
  const pending = offer();
  await removeOfferFiles(pending, pending.directory);
  expect(existsSync(pending.directory)).toBe(true);
});
