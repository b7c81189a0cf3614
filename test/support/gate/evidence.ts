/** Evidence of a healthy candidate, which tests then change. */

import { checkGateSettings, type Evidence, type PromptEvidence, type SampleFigures } from '../../../src/gate/index.js';
import { Random } from '../../../src/policy/sampling/random.js';

export const settings = checkGateSettings({ prompts: 40 });

/** Normally distributed numbers; equal seeds give equal numbers. */
export function createNormal(seed: number): () => number {
  const random = new Random(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
}

/** A candidate as good as the live version, on 40 prompts and 120 logged completions. All differences are chance. */
export function healthyEvidence(seed = 1, prompts = 40): Evidence {
  const normal = createNormal(seed);
  let answer = 0;
  const sample = (logRatio: number | null): SampleFigures => ({
    tokens: Math.max(2, Math.round(26 + 5 * normal())),
    endOfSequence: normal() < 2,
    empty: false,
    repeated: Math.max(0, 0.02 * normal()),
    answer: answer++,
    logRatio,
    reward: 0.5 + 0.2 * normal(),
  });
  const pair = (make: () => SampleFigures): SampleFigures[] => [make(), make()];
  return {
    notFinite: null,
    rater: 'judge',
    prompts: Array.from({ length: prompts }, () => ({
      heldOut: true,
      candidate: pair(() => sample(1.5 + normal())),
      live: pair(() => sample(null)),
      reference: pair(() => sample(null)),
    })),
    logged: Array.from({ length: 3 * prompts }, (_, i) => ({
      prompt: i % prompts,
      reward: Math.min(1, Math.max(0, 0.5 + 0.2 * normal())),
      candidate: 0.3 * normal(),
      live: 0.3 * normal(),
    })),
  };
}

/** Returns the evidence with changed samples of the candidate. */
export function withCandidate(
  evidence: Evidence,
  change: (sample: SampleFigures, prompt: number, index: number) => Partial<SampleFigures>,
): Evidence {
  return {
    ...evidence,
    prompts: evidence.prompts.map(
      (prompt, p): PromptEvidence => ({
        ...prompt,
        candidate: prompt.candidate.map((sample, i) => ({ ...sample, ...change(sample, p, i) })),
      }),
    ),
  };
}
