/** The numbers of CoPG on a batch that can be computed by hand: a group of two completions, and one completion alone. */

import { describe, expect, it } from 'vitest';
import { copgForm, differentiateCopg } from '../../../src/learner/objective.js';

const logprobs = Float32Array.of(-1.5, -3.5, -3);
const gradients = new Map([['w', Float32Array.of(1)]]);

const batch = (beta: number) => ({
  rows: [],
  groups: [0, 0, 1],
  rewards: [1, 0.25, 0.75],
  referenceLogprobs: [-2, -3, -4],
  // Only the completion alone is compared with its value.
  values: [9, 9, 0.5],
  beta,
});

/** An engine whose pass has these log-probabilities for every batch. */
const engine = { differentiate: async () => ({ logprobs, gradients }) };

describe('the objective', () => {
  it('weighs a completion by its regularised reward against its siblings, or against the value if it is alone', async () => {
    const result = await differentiateCopg(engine, batch(0.5), new Map());
    // h is 0.5, -0.5 and 1, so the regularised rewards are 0.75, 0.5 and 0.25.
    expect([...result.weights]).toEqual([0.25, -0.25, -0.25]);
    expect(result.surrogate).toBeCloseTo(-0.5, 12);
    expect(result.loss).toBeCloseTo(0.0625, 12);
    expect(result).toMatchObject({ logprobs, gradients });
  });

  it('reports the loss without the factor 1/beta if beta is 0', async () => {
    const result = await differentiateCopg(engine, batch(0), new Map());
    expect([...result.weights]).toEqual([0.75, -0.75, 0.25]);
    expect(result.loss).toBeCloseTo(0.15625, 12);
  });

  it('is a linear form of the log-probabilities, whose weights are those divided by completions and prompts', () => {
    const { constants, dependence } = copgForm(batch(0.5));
    expect(Array.from(constants)).toEqual([0.1875, -0.1875, 0.125]);
    expect(Array.from(dependence?.slopes ?? [])).toEqual([-0.125, 0.125, 0, 0.125, -0.125, 0, 0, 0, -0.25]);
    expect(dependence?.referenceLogprobs).toEqual([-2, -3, -4]);
  });
});
