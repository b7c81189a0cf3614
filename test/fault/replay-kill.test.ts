import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openReplayReader, openReplayStore } from '../../src/replay/index.js';
import { temporaryFolder } from '../support/folders.js';
import { startScript } from '../support/processes.js';
import { admission } from '../support/replay/records.js';

const writer = fileURLToPath(new URL('../support/processes/replay-writer-process.js', import.meta.url));

test('a killed writer loses nothing that it acknowledged, and its unfinished generations are aborted', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const admitted: string[] = [];
  const scored: string[] = [];
  const finished: string[] = [];
  const lists: Record<string, string[]> = { admitted, scored, finished };
  for (const [round, acknowledgements] of [30, 211, 97, 450].entries()) {
    const child = startScript(writer, [path, `round${round}`]);
    let left = acknowledgements;
    child.on('message', ([kind, id]: [string, string]) => {
      lists[kind]?.push(id);
      if (--left === 0) child.kill('SIGKILL');
    });
    await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');

    const store = await openReplayStore({ path });
    const generations = new Map((await store.readGenerations(admitted)).map((g) => [g.id, g]));
    expect(generations.size).toBe(admitted.length);
    expect(generations.get(`round${round}-unfinished`)).toMatchObject({ state: 'aborted' });
    for (const id of finished) expect(generations.get(id)).toMatchObject({ state: 'finished', text: 'Sleep on it.' });
    const scores = await store.readScores(scored);
    expect(scores.map((score) => score.generationId)).toEqual(scored);
    expect(await store.status()).toMatchObject({ running: 0 });
    await store.close();
  }
  const reader = openReplayReader(path);
  const changes = reader.readSince(0, 100_000);
  reader.close();
  expect(changes.map((change) => change.sequence)).toEqual(changes.map((_, i) => i + 1));
  for (const id of scored) expect(changes.filter((c) => c.type === 'score' && c.generationId === id)).toHaveLength(1);
});

test('if the worker of the store dies, all waiting and all later calls throw WORKER_CRASHED', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const crashes: string[] = [];
  const store = await openReplayStore({ path, maxWorkerHeapMb: 16, onCrash: (error) => crashes.push(error.code) });
  const ids = Array.from({ length: 120 }, (_, i) => `g${i}`);
  for (const id of ids) await store.admit([admission(id, { promptJson: id.repeat(100_000) })]);
  const outcomes = await Promise.allSettled([store.readGenerations(ids), store.status()]);
  for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'WORKER_CRASHED' } });
  await expect(store.status()).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
  expect(crashes).toEqual(['WORKER_CRASHED']);
  await store.close();

  const again = await openReplayStore({ path });
  expect((await again.status()).aborted).toBe(ids.length);
  await again.close();
});
