/** Files beside the store after a power loss: a torn checkpoint, and half a line in the logs of events and versions. */

import { appendFileSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eagerLearner, playUntil } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer } from '../support/server.js';

it('torn last writes lose nothing that was acknowledged, and the loop continues', async () => {
  const data = temporaryFolder();
  const file = (...names: string[]) => join(data, ...names);
  await using first = await startServer({ data, args: eagerLearner });
  const before = await playUntil(await first.connect(), 2);
  expect(await first.stop()).toBe(0);
  const lastSequence = JSON.parse(readFileSync(file('events.jsonl'), 'utf8').trim().split('\n').at(-1) ?? '').sequence;
  const checkpoint = file('learner', 'checkpoint.safetensors');
  truncateSync(checkpoint, statSync(checkpoint).size / 2);
  appendFileSync(file('events.jsonl'), `{"sequence":${lastSequence + 1},"ty`);
  appendFileSync(file('versions', 'log.jsonl'), '{"type":"version","version":{"number":');

  await using second = await startServer({ data, args: eagerLearner });
  expect(second.ready.version).toBeGreaterThanOrEqual(before.number);
  const client = await second.connect();
  const sequences: number[] = [];
  let restartDetail = '';
  for await (const { sequence, type, detail } of client.watchEvents({ afterSequence: 0 })) {
    sequences.push(sequence);
    if (type === 'worker_restarted') restartDetail = detail;
    if (restartDetail !== '') break;
  }
  // No client has seen the torn event, so the next event gets its number.
  expect(sequences).toEqual(sequences.map((_, i) => i + 1));
  expect(sequences.length).toBeGreaterThan(lastSequence);
  expect(restartDetail).toMatch(/learner: ADAPTER_INVALID.*put aside/);
  expect(existsSync(`${checkpoint}.damaged`)).toBe(true);
  const { live } = await client.status();
  await playUntil(client, live.number + 1);
  for (const line of readFileSync(file('versions', 'log.jsonl'), 'utf8').trim().split('\n')) JSON.parse(line);
});
