/** How much feedback may wait until edits are encoded. */

import { expect, it } from 'vitest';
import type { CheckedFeedback } from '../../../../src/agent/feedback/check-feedback.js';
import {
  maxWaitingBatches,
  maxWaitingEditCharacters,
  maxWaitingItems,
  WaitingBatches,
} from '../../../../src/agent/feedback/waiting-batches.js';
import type { TextEncoding } from '../../../../src/package/index.js';
import { openLoop } from '../../../support/agent/loop.js';
import { finished, started, token } from '../../../support/agent/scripted-policy.js';

const common = { generationId: 'g', rater: 'r', metric: 'm', idempotencyKey: '', createdAtMs: 1 };
const edit = (characters: number): CheckedFeedback => ({
  ...common,
  type: 'edit',
  text: 'x'.repeat(characters),
  value: 1,
});
const scores = (count: number): CheckedFeedback[] =>
  Array.from({ length: count }, () => ({ ...common, type: 'score', value: 1 }));
const queueFull = expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 });

it('refuses edits beyond a number of characters that wait, but takes one batch alone whatever its size', () => {
  const waiting = new WaitingBatches();
  const half = waiting.enter([edit(maxWaitingEditCharacters / 2)]);
  const rest = waiting.enter([edit(maxWaitingEditCharacters / 4), edit(maxWaitingEditCharacters / 4)]);
  expect(() => waiting.enter([edit(1)])).toThrow(queueFull);
  half[Symbol.dispose]();
  const one = waiting.enter([edit(1)]);
  rest[Symbol.dispose]();
  one[Symbol.dispose]();
  waiting.enter([edit(maxWaitingEditCharacters + 1)]);
  expect(() => waiting.enter([edit(1)])).toThrow(queueFull);
});

it('refuses items of any kind beyond their number, and counts only batches with edits as such', () => {
  const waiting = new WaitingBatches();
  waiting.enter([edit(1)]);
  for (let i = 0; i < maxWaitingBatches; i++) waiting.enter(scores(1));
  waiting.enter(scores(maxWaitingItems - maxWaitingBatches - 1));
  expect(() => waiting.enter(scores(1))).toThrow(queueFull);
});

it('feedback beyond the batches that wait for the encoder is refused, and taken again when they are encoded', async () => {
  let end = () => {};
  const mayEnd = new Promise<void>((resolve) => {
    end = resolve;
  });
  const encoding: TextEncoding = {
    encode: async ({ as }) => {
      if (as === 'completion') await mayEnd;
      return [97];
    },
  };
  const script = async function* () {
    yield started;
    yield token(0, 97);
    yield finished(0, 'stop');
  };
  await using loop = await openLoop(script, 1000, {}, { agent: { encoding } });
  let generationId = '';
  for await (const event of loop.agent.generate({ prompt: 'ab' })) {
    if (event.type === 'started') [generationId = ''] = event.generationIds;
  }
  const give = (by: number) =>
    loop.agent.feedback([{ generationId, edit: { text: 'c', score: 1 }, rater: `rater ${by}` }]);
  const taken = Array.from({ length: maxWaitingBatches }, (_, by) => give(by));
  await expect(give(maxWaitingBatches)).rejects.toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: 1000 });
  end();
  for (const results of await Promise.all(taken)) expect(results).toMatchObject([{ status: 'stored' }]);
  expect(await give(maxWaitingBatches)).toMatchObject([{ status: 'stored' }]);
});
