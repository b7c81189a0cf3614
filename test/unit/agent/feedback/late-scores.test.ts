/** Which scores count as late. */

import { v7 as uuidv7 } from 'uuid';
import { expect, it } from 'vitest';
import { LateScores } from '../../../../src/agent/feedback/late-scores.js';
import type { Generation, ScoreWrite } from '../../../../src/replay/types.js';
import { checkRewardSettings } from '../../../../src/reward/index.js';

const admittedAtMs = 1_700_000_000_000;
const finishedAtMs = admittedAtMs + 500;
const id = uuidv7({ msecs: admittedAtMs });

async function lateOf(scores: readonly { metric: string; atMs: number }[], over: Partial<Generation> = {}) {
  const reads: (readonly string[])[] = [];
  let late = 0;
  const counter = new LateScores({
    reward: checkRewardSettings({ metrics: { click: { windowMs: 1000, default: 0 } } }),
    replay: {
      async readGenerations(ids) {
        reads.push(ids);
        return [{ id, finishedAtMs, ...over } as Generation];
      },
    },
    meter: {
      late: (count) => {
        late += count;
      },
    },
  });
  const write = { type: 'score', generationId: id, rater: 'r', value: 1, idempotencyKey: '' } as const;
  counter.count(scores.map(({ metric, atMs }): ScoreWrite => ({ ...write, metric, createdAtMs: atMs })));
  await new Promise(setImmediate);
  return { late, reads: reads.length };
}

it('counts scores that come after the window of their metric, which begins at the end of the generation', async () => {
  const score = (metric: string, afterMs: number) => ({ metric, atMs: finishedAtMs + afterMs });
  expect(await lateOf([score('click', 1000), score('click', 999), score('thumbs', 5000)])).toEqual({
    late: 1,
    reads: 1,
  });
});

it('does not read generations whose scores are within the window, counted from the admission', async () => {
  expect(await lateOf([{ metric: 'click', atMs: admittedAtMs + 999 }])).toEqual({ late: 0, reads: 0 });
});

it('does not count a score of a running generation as late', async () => {
  expect(await lateOf([{ metric: 'click', atMs: admittedAtMs + 5000 }], { finishedAtMs: null })).toEqual({
    late: 0,
    reads: 1,
  });
});
