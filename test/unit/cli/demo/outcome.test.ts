import { describe, expect, it } from 'vitest';
import { outcomeOf } from '../../../../cli/demo/outcome.js';
import type { HoneEvent, HoneEventType } from '../../../../client/types/index.js';
import { course, evaluation, klCheck, learner, middling, version } from '../../../support/demo-results.js';

const event = (type: HoneEventType, detail: string): HoneEvent => ({
  sequence: 1,
  atMs: 0,
  type,
  adapterDigest: '',
  detail,
  numbers: {},
});
const first = version(0, { state: 'live' });
const before = middling(0);
/** The outcome of a demo in which the first version still serves at the end. */
const stuck = (over: Parameters<typeof course>[0] = {}) =>
  outcomeOf(course({ versions: [first], live: first, ...over }), { before });
const what = (outcome: ReturnType<typeof outcomeOf>): string => outcome.reasons.map((reason) => reason.what).join('\n');

describe('the outcome of a demo', () => {
  it('is "learned" if the last version gains more than chance, with the share of the gap that it closed', () => {
    const outcome = outcomeOf(course(), { before, after: middling(1, 0.1) });
    expect(outcome).toMatchObject({ kind: 'learned', reasons: [] });
    // Half of the posts gained 0.10, half 0.11; the best of 16 lies 0.15 above the mean of each.
    expect(outcome.gain?.mean).toBeCloseTo(0.105, 10);
    expect(outcome.gain?.standardError).toBeCloseTo(0.005 / Math.sqrt(15), 10);
    expect(outcome.gapClosed?.mean).toBeCloseTo(0.7, 10);
    expect(outcome.gapClosed?.standardError).toBeCloseTo(0.005 / 0.15 / Math.sqrt(15), 10);
  });

  it('is "no gain" if the difference is within two standard errors, of either sign', () => {
    const noisy = (sign: number) =>
      evaluation(
        1,
        Array.from({ length: 16 }, (_, i) => [0.46 + sign * (i % 2 === 0 ? 0.1 : -0.09)]),
      );
    for (const sign of [1, -1]) {
      const outcome = outcomeOf(course(), { before, after: noisy(sign) });
      expect(outcome).toMatchObject({ kind: 'no_gain', headline: expect.stringContaining('within the noise') });
      expect(outcome.gapClosed).toBeUndefined();
      expect(what(outcome)).toContain('300 scores led to one version');
    }
  });

  it('is "worse" if the last version loses more than chance', () => {
    const outcome = outcomeOf(course(), { before, after: middling(1, -0.1) });
    expect(outcome).toMatchObject({
      kind: 'worse',
      headline: expect.stringContaining('is worse than the first: -0.105'),
    });
    expect(outcome.gapClosed).toBeUndefined();
  });

  it('has no gap if all samples of the first version are alike', () => {
    const flat = evaluation(
      0,
      Array.from({ length: 16 }, (_, i) => new Array(16).fill(0.5 + 0.001 * (i % 4))),
    );
    const outcome = outcomeOf(course(), { before: flat, after: middling(1, 0.5) });
    expect(outcome.kind).toBe('learned');
    expect(outcome.gapClosed).toBeUndefined();
  });
});

describe('the reason why the first version still serves', () => {
  it('is too few scores, with the number that is enough', () => {
    const idle = learner({ steps: 0, rounds: 0, buffer: { ...learner().buffer, completions: 36 } });
    const outcome = stuck({ learner: idle, scores: 40 });
    expect(outcome).toMatchObject({ kind: 'no_version', headline: expect.stringContaining('Nothing was learned') });
    expect(what(outcome)).toMatch(/after 128 new scores; 40 were given, and it may train on 36 of them/);
    expect(outcome.reasons[0]?.remedy).toContain('256');
  });

  it('is the gate, for each check that refused candidates the last of them', () => {
    const refused = (number: number, check: string) =>
      version(number, {
        state: 'rejected',
        verdict: [klCheck(12, { check, outcome: 'failed' })],
        rejectedBecause: `${check}: version ${number} is beyond it`,
      });
    const versions = [refused(3, 'kl'), refused(2, 'health'), refused(1, 'kl'), first];
    const reasons = what(stuck({ versions }));
    expect(reasons).toContain('refused 2 of 3 candidates; version 3: kl: version 3 is beyond it');
    expect(reasons).toContain('refused 1 of 3 candidates; version 2: health: version 2 is beyond it');
  });

  it('is a verdict that did not come in time', () => {
    expect(what(stuck({ versions: [version(1, { state: 'candidate', verdict: [] }), first], judging: 1 }))).toContain(
      'the gate had not judged version 1',
    );
  });

  it('is a learner that gets no processor time, is still training, crashes, or has stopped itself', () => {
    const training = learner({ state: 'training', rounds: 0, steps: 3, stepMs: 14_600 });
    const starving = stuck({ learner: training, events: [event('learner_starved', 'training gets 4 % of a core')] });
    expect(what(starving)).toContain('too little processor time: training gets 4 % of a core');
    expect(what(starving)).toContain(
      'still training when the demo stopped waiting for it: 3 steps, the last took 14.6 s',
    );
    const crashes = ['a', 'b', 'c'].map((name) => event('worker_restarted', `learner: ${name}`));
    expect(what(stuck({ events: crashes }))).toContain('crashed and was started again (3 times): learner: c');
    const halted = learner({ state: 'halted', haltedBecause: 'three rounds in a row' });
    expect(what(stuck({ learner: halted }))).toContain('stopped itself: three rounds in a row');
  });

  it('is a judge that gives every completion the same score', () => {
    const flat = evaluation(
      0,
      Array.from({ length: 8 }, () => new Array(16).fill(0.5)),
    );
    const reasons = what(outcomeOf(course({ versions: [first], live: first }), { before: flat }));
    expect(reasons).toContain('gave 0.5 to each of 128 completions');
  });

  it('is a rollback of the live version', () => {
    const back = version(2, { origin: 'rollback', state: 'live', adapterDigest: first.adapterDigest, verdict: [] });
    expect(what(stuck({ versions: [back, version(1), first], live: back }))).toContain('was rolled back');
  });

  it('is the state of the learner if nothing else explains it', () => {
    expect(what(stuck())).toContain('the learner made no candidate; it is idle after 1 rounds and 20 steps');
  });
});
