/** Stored scores outside the range of their metric, in a real store: they are found and described. */

import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { describeScoresOutside, findScoresOutside } from '../../../../src/agent/feedback/stored-ranges.js';
import { openReplayStore } from '../../../../src/replay/index.js';
import { checkRewardSettings } from '../../../../src/reward/index.js';
import { openLoop } from '../../../support/agent/loop.js';
import { temporaryFolder } from '../../../support/folders.js';
import { admission, completion, scoreWrite } from '../../../support/replay/records.js';

const starsOfAnn = [1, 4, 5];

/** Stores stars and seconds, as a server did whose metrics had these ranges. */
async function fill(path: string): Promise<void> {
  await using store = await openReplayStore({ path });
  await store.admit(['a', 'b', 'c'].map((id) => admission(id)));
  await store.complete(['a', 'b', 'c'].map((id) => completion(id)));
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    await store.write([
      scoreWrite(id, starsOfAnn[i] as number, { metric: 'stars' }),
      scoreWrite(id, 10 * i, { metric: 'seconds' }),
      scoreWrite(id, 0.5, { metric: 'thumbs' }),
    ]);
  }
}

it('finds the scores that do not count, by metric, and describes what to do', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  await fill(path);
  const store = await openReplayStore({ path });
  onTestFinished(() => store.close());
  const settings = checkRewardSettings({ metrics: { seconds: { min: 10, max: 0 } } });
  const found = await findScoresOutside(store, settings);
  expect(found).toEqual([
    { metric: 'seconds', scores: 1, smallest: 0, largest: 20, lowest: 0, highest: 10 },
    { metric: 'stars', scores: 2, smallest: 1, largest: 5, lowest: 0, highest: 1 },
  ]);
  expect(describeScoresOutside(found)).toContain(
    '2 on "stars" (stored are 1 to 5, its range is 0 to 1); give the metric a range that holds them',
  );
  const fitting = checkRewardSettings({ metrics: { seconds: { min: 20, max: 0 }, stars: { min: 1, max: 5 } } });
  expect(await findScoresOutside(store, fitting)).toEqual([]);
});

it('a server reports them when it starts, by an event and in its status, and a server without any is silent', async () => {
  const folder = temporaryFolder();
  await fill(join(folder, 'replay.sqlite'));
  const nothing = async function* () {};
  {
    await using loop = await openLoop(nothing, 1000, {}, { folder });
    const event = await loop.nextEvent('scores_ignored');
    expect(event).toMatchObject({ numbers: { scores: 4 } });
    expect(event.detail).toContain('on "stars" (stored are 1 to 5, its range is 0 to 1)');
  }
  const reward = checkRewardSettings({ metrics: { seconds: { min: 0, max: 20 }, stars: { min: 1, max: 5 } } });
  await using loop = await openLoop(nothing, 1000, {}, { folder, agent: { reward } });
  // The store answers in order, so the agent has had its answer when this one comes.
  expect(await findScoresOutside(loop.replay, reward)).toEqual([]);
  for await (const events of loop.agent.watchEvents({ afterSequence: 0 })) {
    expect(events.map(({ type }) => type)).toEqual(['server_started']);
    break;
  }
});
