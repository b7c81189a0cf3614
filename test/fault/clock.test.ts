/** A clock that is set back by an hour under a running server. */

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { HoneClient, HoneEvent } from '../../client/index.js';
import { askAndScore, eagerLearner, playUntil } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer } from '../support/server.js';

const hourMs = 3_600_000;

/** Returns the environment of a server whose clock the test can set. */
function settableClock(): { env: NodeJS.ProcessEnv; setBy(ms: number): void } {
  const folder = temporaryFolder();
  const file = join(folder, 'clock');
  const setBy = (ms: number) => {
    writeFileSync(`${file}.new`, String(ms));
    renameSync(`${file}.new`, file);
  };
  setBy(0);
  const preload = new URL('../support/shifted-clock.js', import.meta.url).href;
  return { env: { NODE_OPTIONS: `--import=${preload}`, HONE_TEST_CLOCK: file }, setBy };
}

async function eventsUntil(client: HoneClient, done: (events: readonly HoneEvent[]) => boolean): Promise<HoneEvent[]> {
  const events: HoneEvent[] = [];
  for await (const event of client.watchEvents({ afterSequence: 0 })) {
    events.push(event);
    if (done(events)) break;
  }
  return events;
}

it('a clock that is set back breaks no id, no order and no learning, because sequence numbers decide', async () => {
  const data = temporaryFolder();
  const { env, setBy } = settableClock();
  const args = eagerLearner;
  await using server = await startServer({ data, args, env });
  const client = await server.connect();
  const ids = [...(await askAndScore(client, 'before', 8))];
  const { number } = await playUntil(client, 1);
  const [id = ''] = ids;
  await client.feedback([{ generationId: id, score: 0.25, rater: 'ann' }]);
  const early = (await client.getGeneration(id)).scores.find(({ rater }) => rater === 'ann');

  setBy(-hourMs);
  ids.push(...(await askAndScore(client, 'after', 8)));
  await client.feedback([{ generationId: id, score: 0.75, rater: 'ann' }]);
  const late = (await client.getGeneration(id)).scores.find(({ rater }) => rater === 'ann');
  // The later score counts, although its time is earlier.
  expect(late?.createdAtMs).toBeLessThan((early?.createdAtMs ?? 0) - hourMs / 2);
  expect(late?.value).toBe(0.75);
  // Generations that ran while the clock changed are complete and take scores.
  const live = await playUntil(client, number + 1);
  expect(new Set(ids).size).toBe(ids.length);
  const { replay } = await client.status();
  expect(replay.running).toBe(0);

  const backwards = (events: readonly HoneEvent[]) =>
    events.findIndex(({ atMs }, i) => i > 0 && atMs < (events[i - 1]?.atMs ?? 0) - hourMs / 2);
  const events = await eventsUntil(
    client,
    (seen) => backwards(seen) > 0 && seen.at(-1)?.type === 'version_promoted' && seen.at(-1)?.version === live.number,
  );
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1));
  // The learner still reports its figures.
  expect(events.slice(backwards(events)).map(({ type }) => type)).toContain('learner_progress');
  await server.stop();

  // A server that starts with the earlier clock continues from the same state.
  await using again = await startServer({ data, args, env });
  expect(again.ready.version).toBeGreaterThanOrEqual(live.number);
  const client2 = await again.connect();
  expect((await client2.getGeneration(id)).scores.find(({ rater }) => rater === 'ann')?.value).toBe(0.75);
  ids.push(...(await askAndScore(client2, 'after a restart', 8)));
  expect(new Set(ids).size).toBe(ids.length);
  const all = await eventsUntil(client2, (seen) => seen.filter(({ type }) => type === 'server_started').length === 2);
  expect(all.map(({ sequence }) => sequence)).toEqual(all.map((_, i) => i + 1));
  const { live: now } = await client2.status();
  await playUntil(client2, now.number + 1);
});
