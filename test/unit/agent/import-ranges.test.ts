/** What an import refuses besides lines that are no records: scores outside the range of their metric. */

import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ReplayImport } from '../../../src/agent/transfer.js';
import type { Package } from '../../../src/package/index.js';
import { formatRecord, openReplayStore } from '../../../src/replay/index.js';
import { checkRewardSettings } from '../../../src/reward/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion } from '../../support/replay/records.js';

const pkg = { digest: 'package', config: { vocabularySize: 9, contextLength: 9 } as Package['config'] };
const id = '01920000-0000-7000-8000-00000000000a';

it('an import refuses a score outside the range of its metric with its line, and takes the others', async () => {
  const store = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
  onTestFinished(() => store.close());
  await store.admit([admission(id)]);
  await store.complete([completion(id)]);
  const score = (metric: string, value: number) =>
    formatRecord({ type: 'score', score: { generationId: id, rater: 'ann', metric, value, createdAtMs: 1 } });
  const lines = [score('stars', 5), score('stars', 5.5), score('other', 8), score('other', 1)];
  const settings = checkRewardSettings({ metrics: { stars: { min: 1, max: 5 } } });
  const imported = new ReplayImport(store, settings, pkg, () => undefined);
  await imported.add(Buffer.from(`${lines.join('\n')}\n`));
  const { refusals, ...counts } = await imported.finish();
  expect(counts).toEqual({ imported: 2, skipped: 0, refused: 2 });
  expect(refusals.map(({ line, error }) => [line, error.code, error.message])).toEqual([
    [
      2,
      'INVALID_REQUEST',
      expect.stringMatching(/^value: must be from 1 to 5, .* "stars", got 5\.5; .*--reward-settings/),
    ],
    [3, 'INVALID_REQUEST', expect.stringMatching(/^value: must be from 0 to 1, .* "other", got 8; /)],
  ]);
  expect((await store.readScores([id])).map(({ metric, value }) => [metric, value]).sort()).toEqual([
    ['other', 1],
    ['stars', 5],
  ]);
});
