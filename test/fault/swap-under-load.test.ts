/** Versions change while requests run: no request is refused or cut, and none mixes versions. */

import { expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { importRandom } from '../support/planted.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

const streams = 3;
const versionsWanted = 6;

it('requests during swaps are complete, run on one version, and give the same result when they are repeated on it', async () => {
  await using server = await startServer({ args: ['--adapters', 'on', '--gate', 'off'] });
  const client = await server.connect({ retry: { maxAttempts: 1 } });
  const served = new Set<number>();
  let requests = 0;
  let repeated = 0;
  let done = false;

  const play = async (worker: number) => {
    for (let round = 0; !done; round++) {
      const request = { prompt: `load ${worker} ${round % 3}`, n: 2, maxTokens: 40, seed: round, ignoreEos: true };
      const { version, texts } = await readWhole(client, request);
      served.add(version);
      requests += 1;
      const again = await readWhole(client, { ...request, version, store: false }).catch((error) => {
        // The policy may have released the version by now, which is no fault.
        expect(error).toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
        return undefined;
      });
      if (again !== undefined) {
        repeated += 1;
        expect(again).toMatchObject({ version, texts });
      }
    }
  };
  const swap = async () => {
    for (let number = 1; number <= versionsWanted; number++) {
      const before = requests;
      await until(() => requests >= before + 2 * streams, 'requests have come between two swaps', { everyMs: 1 });
      // Large enough to change every answer.
      await importRandom(client, 0.5, number);
      await until(async () => (await client.status()).live.number === number, `version ${number} is live`, {
        everyMs: 1,
      });
    }
    const before = requests;
    await until(() => requests >= before + streams, 'the last version has answered', { everyMs: 1 });
    done = true;
  };
  await Promise.all([swap(), ...Array.from({ length: streams }, (_, worker) => play(worker))]);

  expect(served.size).toBe(versionsWanted + 1);
  expect(repeated).toBeGreaterThan(requests / 4);
  const { serving, replay } = await client.status();
  expect(serving.runningSequences).toBe(0);
  expect(replay.finished).toBe(replay.generations);
});

async function readWhole(client: HoneClient, request: Parameters<HoneClient['stream']>[0]) {
  const texts: string[] = [];
  let version = -1;
  const ends: string[] = [];
  let tokens = 0;
  for await (const event of client.stream(request)) {
    if (event.type === 'started') {
      version = event.version;
      texts.push(...event.generationIds.map(() => ''));
    }
    if (event.type === 'chunk') texts[event.index] += event.text;
    if (event.type === 'finished') ends.push(event.reason);
    if (event.type === 'usage') tokens = event.completionTokens;
  }
  expect(ends).toEqual(['length', 'length']);
  expect(tokens).toBe(80);
  return { version, texts };
}
