/** How a rater follows the store, with the real store and functions in their processes: what counts as seen, and when. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { BackgroundRater, type RaterOptions } from '../../../../src/agent/feedback/background-rater.js';
import type { FeedbackInput, FeedbackResult } from '../../../../src/agent/feedback/types.js';
import { HoneError } from '../../../../src/errors.js';
import { openReplayReader, openReplayStore } from '../../../../src/replay/index.js';
import { startRewardProcess } from '../../../../src/reward/index.js';
import { temporaryFolder } from '../../../support/folders.js';
import { admission, completion } from '../../../support/replay/records.js';
import { until } from '../../../support/until.js';

const rater = 'function:judge';
const scale = { metric: 'score', lowest: 0, highest: 1 };

/** A folder with a store, a module and the place of its rater. */
async function openWorld(source: string) {
  const folder = temporaryFolder();
  const path = join(folder, 'replay.sqlite');
  const store = await openReplayStore({ path });
  const reader = openReplayReader(path);
  onTestFinished(async () => {
    reader.close();
    await store.close();
  });
  const module = join(folder, 'judge.mjs');
  const placePath = join(folder, 'place');
  writeFileSync(module, source);
  const events: string[] = [];
  let refuses: HoneError | undefined;
  const take = async (items: readonly FeedbackInput[]): Promise<FeedbackResult[]> => {
    if (refuses !== undefined) throw refuses;
    const writes = items.map(({ generationId, score = null }) => {
      return {
        type: 'score',
        generationId,
        rater,
        metric: 'score',
        value: score,
        idempotencyKey: '',
        createdAtMs: 1,
      } as const;
    });
    return (await store.write(writes)).map((outcome) =>
      outcome.status === 'refused'
        ? { status: 'refused', error: new HoneError(outcome.code, outcome.message) }
        : { status: outcome.status, sequence: outcome.sequence },
    );
  };

  async function start(over: Partial<RaterOptions> = {}) {
    const program = { type: 'function', module } as const;
    const model = await startRewardProcess({ rater, program, scale, restartAfterMs: 1 });
    const options = { model, metric: 'score', reader, placePath, retryAfterMs: 1, lookAfterMs: 1, ...over };
    const running = new BackgroundRater(options, {
      replay: store,
      take,
      events: { publish: ({ detail = '' }) => events.push(detail) as never },
      now: () => 0,
    });
    const stop = async () => {
      await running.close();
      await model.close();
    };
    onTestFinished(stop);
    return { running, model, stop };
  }

  return {
    module,
    placePath,
    events,
    start,
    lastSequence: () => reader.lastSequence(),
    mend: (mended: string) => writeFileSync(module, mended),
    refuse: (error: HoneError | undefined) => {
      refuses = error;
    },
    async add(...texts: readonly string[]): Promise<string[]> {
      const ids = texts.map((_, i) => idOf(added + i));
      added += texts.length;
      await store.admit(ids.map((id) => admission(id, { promptJson: '{"prompt":"ask"}' })));
      await store.complete(ids.map((id, i) => completion(id, { text: texts[i] as string })));
      return ids;
    },
    async scores(): Promise<number[]> {
      return (await store.readScores(Array.from({ length: added }, (_, i) => idOf(i)))).map(({ value }) => value);
    },
    isStill: (running: BackgroundRater) => until(() => running.status.behind === 0, 'everything was looked at'),
  };
}

let added = 0;
const idOf = (i: number) => `01920000-0000-7000-8000-${String(i).padStart(12, '0')}`;

const half = 'export default (items) => items.map(() => 0.5);';

it.each([
  ['answers too few scores', 'export default (items) => items.slice(1).map(() => 1);', 'answered 2 scores for 3'],
  ['answers one score for every batch', 'export default () => [1];', 'answered 1 scores for 3'],
  ['answers nothing', 'export default () => {};', 'answered undefined'],
  ['answers text', 'export default (items) => items.map(() => "1");', 'answered a value of type string'],
  ['answers NaN', 'export default (items) => items.map(() => NaN);', 'answered NaN'],
  [
    'answers scores outside the range',
    'export default (items) => items.map(() => 8);',
    'answered 8: each score must be from 0 to 1',
  ],
  ['throws', 'export default () => { throw new Error("no"); };', 'threw: no'],
  ['rejects', 'export default async () => { throw new Error("no"); };', 'threw: no'],
  ['ends its process', 'export default () => process.exit(3);', 'ended its process (exit code 3)'],
])(
  'a function that %s marks no completion as seen, and scores all of them once it is mended',
  async (_, bug, problem) => {
    added = 0;
    const world = await openWorld(bug);
    await world.add('a', 'b', 'c');
    const { running } = await world.start();
    await until(() => running.status.failure?.includes(problem) === true, 'the fault is reported');
    await until(() => world.events.some((detail) => detail.includes('no completion counts as seen')), 'it is at fault');
    expect(running.status.scored).toBe(0);
    expect(world.events.every((detail) => detail.startsWith(`${rater}: the reward function ${world.module} `))).toBe(
      true,
    );
    world.mend(half);
    await world.isStill(running);
    expect(await world.scores()).toEqual([0.5, 0.5, 0.5]);
    expect(running.status).toMatchObject({ state: 'running', scored: 3, unscored: 0, setAside: 0 });
  },
);

it('a fault is reported once, however often it is asked again', async () => {
  added = 0;
  const world = await openWorld(
    `import { appendFileSync } from 'node:fs';
    export default (items) => { appendFileSync(new URL('calls', import.meta.url), 'x'); };`,
  );
  await world.add('a');
  await world.start();
  const calls = () => readFileSync(join(world.module, '../calls'), { encoding: 'utf8', flag: 'a+' }).length;
  await until(() => calls() >= 3, 'it was asked again and again');
  expect(world.events).toHaveLength(1);
});

it('a restarted server scores what a function at fault had not', async () => {
  added = 0;
  const world = await openWorld('export default () => {};');
  await world.add('a', 'b');
  const first = await world.start();
  await until(() => first.running.status.state === 'failed', 'it is at fault');
  await first.stop();
  world.mend(half);
  const second = await world.start();
  await world.isStill(second.running);
  expect(await world.scores()).toEqual([0.5, 0.5]);
});

const failsOnBad = `export default (items) => items.map(({ text }) => text === 'bad' ? NaN : text === 'none' ? null : 0.5);`;

it('a completion on which a function fails alone is set aside, and the others are scored', async () => {
  added = 0;
  const world = await openWorld(failsOnBad);
  const [, bad] = await world.add('a', 'bad', 'none', 'b');
  const { running } = await world.start({ lookAfterMs: 60_000 });
  await world.isStill(running);
  expect(await world.scores()).toEqual([0.5, 0.5]);
  expect(running.status).toMatchObject({ state: 'running', scored: 2, unscored: 1, setAside: 1 });
  await until(() => readFileSync(world.placePath, 'utf8').includes(bad as string), 'its id is kept');
  await world.add('c');
  running.changed();
  await until(() => running.status.scored === 3, 'it goes on');
});

it('completions that were set aside are seen again when the server starts', async () => {
  added = 0;
  const world = await openWorld(failsOnBad);
  await world.add('a', 'bad');
  const first = await world.start({ lookAfterMs: 60_000 });
  await until(() => first.running.status.setAside === 1, 'it is set aside');
  await world.isStill(first.running);
  await first.stop();

  const before = world.events.length;
  const second = await world.start({ lookAfterMs: 60_000 });
  await until(() => world.events.length > before, 'it was asked again');
  expect(second.running.status).toMatchObject({ scored: 0, setAside: 1, state: 'running' });
  await second.stop();

  world.mend(half);
  const third = await world.start();
  await until(async () => (await world.scores()).length === 2, 'both are scored');
  await until(() => third.running.status.setAside === 0, 'none is set aside');
});

it('completions that were set aside are seen again once the module has changed, without a restart', async () => {
  added = 0;
  const world = await openWorld(failsOnBad);
  await world.add('a', 'bad');
  const { running } = await world.start();
  await until(() => running.status.setAside === 1, 'it is set aside');
  world.mend(half);
  await until(() => running.status.setAside === 0, 'it is scored');
  expect(await world.scores()).toEqual([0.5, 0.5]);
});

it('a place that an older server kept is read, and a damaged one is the start of the store', async () => {
  added = 0;
  const world = await openWorld(half);
  await world.add('a', 'b');
  writeFileSync(world.placePath, `${world.lastSequence()}\n`);
  const first = await world.start();
  await world.isStill(first.running);
  expect(await world.scores()).toEqual([]);
  await first.stop();
  writeFileSync(world.placePath, '{"format":1,"seq');
  const second = await world.start();
  await world.isStill(second.running);
  expect(await world.scores()).toEqual([0.5, 0.5]);
});

it('scores that the store refuses to take are not lost', async () => {
  added = 0;
  const world = await openWorld(half);
  world.refuse(new HoneError('STORE_FULL', 'the disk is full'));
  await world.add('a');
  const { running } = await world.start();
  await until(() => world.events.some((detail) => detail.includes('the disk is full')), 'it is reported');
  world.refuse(undefined);
  await world.isStill(running);
  expect(await world.scores()).toEqual([0.5]);
});
