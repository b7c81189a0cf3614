import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExperienceBuffer } from '../../../../src/learner/experience/buffer.js';
import type { Member } from '../../../../src/learner/experience/members.js';
import { sampleGroups } from '../../../../src/learner/experience/sampler.js';
import { createRandom } from '../../../../src/learner/random.js';
import { decoder, openExperience, type Sample } from '../../../support/learner/experience.js';

async function bufferOf(rounds: readonly (readonly Sample[])[]): Promise<ExperienceBuffer> {
  const { add, reader } = await openExperience();
  const buffer = new ExperienceBuffer({ packageDigest: 'package', decoder, holdoutShare: 0, maxStaleness: 9 });
  for (const samples of rounds) {
    await add(samples);
    buffer.sync(reader, 0);
    buffer.beginRound();
  }
  return buffer;
}

function prompts(prefix: string, count: number, size = 2): Sample[] {
  return Array.from({ length: count }, (_, i) => i).flatMap((i) =>
    Array.from({ length: size }, (_, k) => ({
      id: `${prefix}${i}-${k}`,
      group: `${prefix}${i}`,
      tokens: [k],
      reward: 1,
    })),
  );
}

const keys = (groups: readonly (readonly Member[])[]): string[] => groups.map((group) => group[0]?.group.key ?? '');
const settings = { groupsPerStep: 8, groupSize: 4, newestShare: 0.5, replayRatio: 2 };

test('a batch takes its share from the newest round and the rest from older ones', async () => {
  const buffer = await bufferOf([prompts('old', 20), prompts('new', 20)]);
  const chosen = keys(sampleGroups(buffer, { ...settings, newestShare: 0.75 }, createRandom(1)));
  expect(chosen.filter((key) => key.startsWith('new'))).toHaveLength(6);
  expect(new Set(chosen).size).toBe(8);
});

test('the older groups fill a batch if the newest are too few, and the other way round', async () => {
  const onlyNew = await bufferOf([prompts('old', 1), prompts('new', 20)]);
  expect(keys(sampleGroups(onlyNew, settings, createRandom(1))).filter((key) => key.startsWith('new'))).toHaveLength(7);
  const onlyOld = await bufferOf([prompts('old', 20), prompts('new', 1)]);
  expect(keys(sampleGroups(onlyOld, settings, createRandom(1))).filter((key) => key.startsWith('old'))).toHaveLength(7);
});

test('everything is used once before anything is used twice, and nothing more often than the replay ratio', async () => {
  const buffer = await bufferOf([prompts('p', 12)]);
  const drawn: string[] = [];
  for (let step = 0; ; step++) {
    const chosen = keys(sampleGroups(buffer, settings, createRandom(step)));
    if (chosen.length === 0) break;
    drawn.push(...chosen);
  }
  expect(drawn).toHaveLength(24);
  expect(new Set(drawn.slice(0, 12)).size).toBe(12);
  expect(new Set(drawn.slice(12)).size).toBe(12);
});

test('a large group comes in parts, the least used members first', async () => {
  const buffer = await bufferOf([prompts('p', 1, 6)]);
  const first = sampleGroups(buffer, settings, createRandom(1)).flat();
  const second = sampleGroups(buffer, settings, createRandom(2)).flat();
  expect(first).toHaveLength(4);
  expect(second).toHaveLength(4);
  expect(new Set([...first, ...second]).size).toBe(6);
});

test('whatever the buffer holds, uses grow by what was drawn and stay within the ratio', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(
      sizes,
      fc.integer({ min: 1, max: 4 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (groups, ratio, share) => {
        const samples = groups.flatMap((size, g) => prompts(`p${g}-`, 1, size));
        const half = Math.floor(samples.length / 2);
        const buffer = await bufferOf([samples.slice(0, half), samples.slice(half)]);
        const options = { groupsPerStep: 3, groupSize: 4, newestShare: share, replayRatio: ratio };
        let rows = 0;
        for (let step = 0; step < 200; step++) {
          const chosen = sampleGroups(buffer, options, createRandom(step));
          if (chosen.length === 0) break;
          expect(chosen.length).toBeLessThanOrEqual(3);
          for (const group of chosen) expect(new Set(group.map((member) => member.group)).size).toBe(1);
          rows += chosen.flat().length;
        }
        expect(rows).toBe(samples.length * ratio);
      },
    ),
    { seed: 8, numRuns: 15 },
  );
});
