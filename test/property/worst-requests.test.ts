/**
 * Looks for requests that stop everybody else: random ones that are as large and as laborious as they can be, and the
 * worst that were found before, one of each kind. `worst-requests.long.test.ts` runs all of them, and looks for longer.
 */

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HostileServer } from '../support/hostile-server.js';
import { described, worstRequests } from '../support/worst-requests.js';

/** Time for some dozens of cases, short enough for every run of the tests. */
const timeLimitMs = 12_000;

/** One attack of each kind. */
const kinds = [
  'empty-messages',
  'bad-logit-bias',
  'prompt-one-letter',
  'edits-1000',
  'edits-60-long-refused',
  'labels',
  'deep-groups',
  'headers-1',
  'gzip-bomb-64-MiB',
  'reset-3000',
  'import-tiny-lines',
  'status-1000',
  'continuations',
  'one-byte-frames',
] as const;

let victim: HostileServer;

beforeAll(async () => {
  victim = await HostileServer.start();
});
afterAll(() => victim[Symbol.asyncDispose]());

it.each(kinds)('a health check of another client does not wait long for the attack "%s"', (name) =>
  victim.expectHarmless(name, name),
);

it('a health check of another client does not wait long for the worst requests that can be drawn', async () => {
  await fc.assert(
    fc.asyncProperty(worstRequests, (attack) => victim.expectHarmless(attack, described(attack))),
    // Shrinking would take minutes, because each step of it is measured several times.
    { numRuns: 40, endOnFailure: true, interruptAfterTimeLimit: timeLimitMs },
  );
  expect(victim.server.log()).not.toMatch(/worker_restarted|call failed/);
});
