import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../../studies/cells/cell-store.js';
import { workFolder } from '../../../studies/cells/work-folder.js';
import { runCell as learn } from '../../../studies/tldr/tldr-cell.js';
import { runCell as drawPairs } from '../../../studies/tldr/tldr-pairs-cell.js';

const pairsFile = 'tldr-pairs-test.json';
afterAll(() => rmSync(join(workFolder, pairsFile), { force: true }));

describe('the summarisation experiment', () => {
  it('draws the same pairs for the same seed and learns from them, starting at the supervised policy', async () => {
    const pairs = await drawPairs({ seed: 1, pairs: 4 });
    expect(pairs).toHaveLength(4);
    expect(await drawPairs({ seed: 1, pairs: 4 })).toEqual(pairs);

    mkdirSync(workFolder, { recursive: true });
    writeFileSync(join(workFolder, pairsFile), JSON.stringify(pairs));
    const input = { method: 'dpo', beta: 0.1, seed: 1, passes: 2, batch: 2, heldOutPosts: 4, pairsFile } as const;
    const { points, ...h } = await learn({ ...input, pairsDigest: fingerprintOf(pairs) });
    expect(points.map(({ step }) => step)).toEqual([0, 2, 4]);
    // The learner's first adapter is the reference: policy and learner give the same log-probabilities.
    expect(Math.abs(points[0]?.kl ?? 1)).toBeLessThan(1e-3);
    expect(h.preferredH).toBeGreaterThan(h.otherH);
    await expect(learn({ ...input, pairsDigest: 'other' })).rejects.toThrow(/other pairs/);
  });
});
