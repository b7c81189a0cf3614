/**
 * Sends random calls to a running server, many at once. Every call must end with a status that blames the caller, no slot
 * may be lost, and afterwards the server must answer as before. A failure prints the seed of its calls.
 */

import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';
import { type WildCall, WildClient, wildCall } from '../support/wild-calls.js';

/** Time for a few hundred calls, short enough for every run of the tests. */
const timeLimitMs = 25_000;

const plain = { prompt: 'once upon', maxTokens: 12, temperature: 0, ignoreEos: true } as const;

/** Statuses that a caller can cause. UNKNOWN, INTERNAL and UNAVAILABLE (the worker crashed) are not among them. */
const allowed = new Set([
  status.OK,
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.RESOURCE_EXHAUSTED,
]);

let server: TestServer;
let client: HoneClient;
let wild: WildClient;
let expected: readonly number[];

beforeAll(async () => {
  server = await startServer();
  client = await server.connect();
  wild = new WildClient(server.ready.address);
  expected = await answer();
});
afterAll(async () => {
  wild.close();
  await server[Symbol.asyncDispose]();
});

async function answer(): Promise<readonly number[]> {
  const { completions } = await client.generate(plain);
  return completions[0]?.tokenIds ?? [];
}

const shown = ({ service, method, messages, conduct }: WildCall): string =>
  `${service}/${method} ${JSON.stringify(conduct)} ${messages.map((m) => Buffer.from(m).toString('base64').slice(0, 400))}`;

test('a server survives random calls and still answers as before', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(wildCall, { minLength: 1, maxLength: 24 }), async (calls) => {
      const ends = await Promise.all(calls.map((call) => wild.make(call)));
      for (const [i, { code, details }] of ends.entries()) {
        const call = calls[i] as WildCall;
        if (!allowed.has(code)) throw new Error(`${status[code]} (${details}) for ${shown(call)}`);
      }
      await until(async () => {
        const { serving, replay } = await client.status();
        return serving.runningSequences + serving.queuedRequests + replay.running === 0;
      }, 'no completion runs or waits any more');
      expect(await answer()).toEqual(expected);
      expect(server.process.exitCode).toBeNull();
    }),
    // Shrinking would call a server that is already broken.
    { numRuns: 60, endOnFailure: true, interruptAfterTimeLimit: timeLimitMs },
  );
  expect(server.log()).not.toMatch(/worker_restarted|call failed/);
});
