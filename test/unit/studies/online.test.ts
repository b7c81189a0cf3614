import { describe, expect, it } from 'vitest';
import { Raters } from '../../../studies/online/online-feedback.js';
import { gainFigures, gainsAt } from '../../../studies/online/online-figures.js';
import { run, task, world } from '../../support/studies/online-setup.js';

describe('the online loop', () => {
  it('writes better completions after 96 scores', async () => {
    const points = await run();
    expect(points[0]).toMatchObject({ scores: 0, version: 0, steps: 0, kl: null });
    expect(points[1]).toMatchObject({ scores: 96, version: 6 });
    // Five standard errors of 48 completions.
    expect((points[1]?.reward ?? 0) - (points[0]?.reward ?? 1)).toBeGreaterThan(0.15);
  });

  it('gives exactly as many scores as the budget allows, whenever they come', async () => {
    const points = await run({ condition: 'late', budgets: [7, 30] });
    expect(points.map(({ scores, version }) => [scores, version])).toEqual([
      [7, 0],
      [30, 1],
    ]);
  });
});

describe('raters', () => {
  const shown = (id: string, text: string) => ({ generationId: id, post: 'post 1', text });
  const good = shown('good', 'plain');
  const bad = shown('bad', '\u00e9\u00e9\u00e9');
  const many = <Value>(draw: () => Value): Value[] => Array.from({ length: 2000 }, draw);
  const share = (values: readonly boolean[]): number => values.filter(Boolean).length / values.length;

  it("give the judge's score, at once", () => {
    const raters = new Raters(world, { shape: 'groups2', condition: 'clean', seed: 1 });
    expect(raters.judge([good, bad], 4)).toMatchObject([
      { write: { generationId: 'good', value: 1 }, dueVersion: 4 },
      { write: { generationId: 'bad', value: 0 }, dueVersion: 4 },
    ]);
  });

  it('turn one score in five round if they are noisy, and prefer the worse completion as often', () => {
    const singles = new Raters(world, { shape: 'singles-mean', condition: 'noisy', seed: 1 });
    const scores = many(() => singles.judge([good], 0)[0]?.write).map(
      (write) => write?.type === 'score' && write.value,
    );
    expect(share(scores.map((value) => value === 0))).toBeCloseTo(0.2, 1);
    expect(share(scores.map((value) => value === 1))).toBeCloseTo(0.8, 1);
    const pairs = new Raters(world, { shape: 'preferences', condition: 'noisy', seed: 1 });
    const said = many(() => pairs.judge([bad, good], 0)[0]?.write);
    expect(share(said.map((write) => write?.type === 'preference' && write.outcome === 'better'))).toBeCloseTo(0.2, 1);
  });

  it('send half of their feedback two versions later if they are late', () => {
    const raters = new Raters(world, { shape: 'singles-mean', condition: 'late', seed: 1 });
    const due = many(() => raters.judge([good], 7)[0]?.dueVersion);
    expect(new Set(due)).toEqual(new Set([7, 9]));
    expect(share(due.map((version) => version === 9))).toBeCloseTo(0.5, 1);
  });

  it('score by the prompt as much as by the completion if prompts shift the score', () => {
    const raters = new Raters(world, { shape: 'groups2', condition: 'shifted', seed: 1 });
    const values = (post: string) =>
      raters
        .judge(
          [
            { ...good, post },
            { ...bad, post },
          ],
          0,
        )
        .map(({ write }) => write.type === 'score' && write.value);
    expect(values('post 1')).toEqual([0.5, 0]);
    expect(values('post 2')).toEqual([1, 0.5]);
  });
});

describe('figures of the online study', () => {
  const outcome = (seed: number, reward: number) => ({
    key: `${seed}`,
    task: { ...task, seed },
    result: {
      points: [{ scores: 100, reward, tokens: 30, version: 1, steps: 1, kl: seed === 0 ? null : 0.5 }],
      seconds: { generating: 0, learning: 0, evaluating: 0 },
    },
  });
  /** Seed s begins at 0.4 and a tenth more per seed. */
  const starts = new Map([0, 1, 2, 3, 4].map((seed) => [seed, 0.4 + seed / 10]));
  const gaining = (gains: readonly number[]) => gains.map((gain, seed) => outcome(seed, 0.4 + seed / 10 + gain));

  it('are gains over where the same seed began', () => {
    const gains = gainsAt([outcome(0, 0.5), outcome(1, 0.7), outcome(9, 1)], 100, starts);
    expect(gains.map((gain) => gain.toFixed(3))).toEqual(['0.100', '0.200']);
  });

  it('call a gain a help only if it is above two standard errors of five seeds', () => {
    // Mean 0.2, standard error 0.071.
    const clear = gainFigures(gaining([0, 0.1, 0.2, 0.3, 0.4]), [100], starts);
    expect(clear).toMatchObject({ seeds_100: 5, helps_100: 'yes', kl_100: 0.5, tokens_100: 30 });
    // Mean 0.1, standard error 0.071.
    expect(gainFigures(gaining([-0.1, 0, 0.1, 0.2, 0.3]), [100], starts)).toMatchObject({ helps_100: 'no' });
    expect(gainFigures(gaining([0.2, 0.2, 0.3, 0.2]), [100], starts)).toMatchObject({ seeds_100: 4, helps_100: null });
  });
});
