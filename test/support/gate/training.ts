/** Trains adapters for a judge: CoPG steps on samples of the policy, in the test's own process. */

import { AdamW, createOnnxEngine, differentiateCopg, type Parameters, warmUp } from '../../../src/learner/index.js';
import { initialParameters, toAdapter, toParameters } from '../../../src/learner/initialization.js';
import type { Package } from '../../../src/package/index.js';
import type { Policy, PolicyVersion } from '../../../src/policy/index.js';
import { digestAdapter, zeroAdapter } from '../../../src/versions/index.js';
import { collect, randomTokens, request } from '../policy/policy.js';
import { sampling } from './traffic.js';

const rank = 4;
const scale = 2;
const prompts = 8;
const samples = 8;

/**
 * Trains an adapter for a judge.
 * @param judge scores the tokens of a completion, 0 to 1
 * @param number of the resulting version; the versions in between take the numbers after it
 */
export async function trainFor(
  judge: (tokens: readonly number[]) => number,
  options: {
    readonly pkg: Package;
    readonly policy: Policy;
    readonly number: number;
    readonly rounds: number;
    readonly maxTokens?: number;
  },
): Promise<PolicyVersion> {
  const { pkg, policy, number, rounds, maxTokens = sampling.maxTokens } = options;
  const engine = await createOnnxEngine({ packageDirectory: pkg.directory, rank, scale, threads: 1 });
  const optimizer = new AdamW({ learningRate: warmUp(0.02, 2), beta1: 0.9, beta2: 0.99, clipNorm: 1 });
  const parameters = initialParameters(engine.targets, rank, 1);
  const reference: Parameters = toParameters(zeroAdapter(engine.targets, rank, scale));
  const version = (at: number): PolicyVersion => {
    const adapter = toAdapter(parameters, rank, scale);
    return { number: at, adapter, adapterDigest: digestAdapter(adapter) };
  };
  for (let round = 0; round < rounds; round++) {
    const current = version(number + 1 + round);
    await policy.hold(current);
    const groups = await Promise.all(
      Array.from({ length: prompts }, async (_, p) => {
        const promptTokens = randomTokens(6, 1000 + round * prompts + p);
        const asked = { n: samples, seed: 1 + round * prompts + p, version: current.number };
        const drawn = await collect(
          policy.complete(request(promptTokens, { ...asked, sampling: { ...sampling, maxTokens } })),
        );
        return drawn.completions.map(({ tokens }) => ({ promptTokens, completionTokens: tokens }));
      }),
    );
    await policy.release(current.number);
    const rows = groups.flat();
    const batch = {
      rows,
      groups: rows.map((_, i) => Math.floor(i / samples)),
      rewards: rows.map(({ completionTokens }) => judge(completionTokens)),
      referenceLogprobs: await engine.logProbabilities(rows, reference),
      values: rows.map(() => 0),
      beta: 0.01,
    };
    optimizer.step(parameters, (await differentiateCopg(engine, batch, parameters)).gradients);
  }
  await engine.close();
  return version(number);
}
