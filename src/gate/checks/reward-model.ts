/** Checks that a reward model does not score the candidate's completions lower than the live version's. */

import type { GateSettings } from '../settings.js';
import { beyondChance, estimate, finiteFigures, mean } from '../statistics.js';
import type { CheckResult, Evidence, SampleFigures } from '../types.js';
import { promptCounts, tooFewPrompts } from './prompts.js';

/** Fails if the loss of mean reward exceeds both the accepted loss and chance: a paired test over prompts. */
export function checkRewardModel({ prompts, rater }: Evidence, settings: GateSettings): CheckResult {
  const { reward_model: limits, standardErrors } = settings;
  const check = 'reward_model';
  if (rater === null) return { check, outcome: 'skipped', detail: 'there is no reward model', numbers: {} };
  const measured = prompts.filter(({ candidate, live }) => isRewarded(candidate) && isRewarded(live));
  const short = tooFewPrompts(check, measured, limits.minPrompts);
  if (short !== null) return short;
  const candidate = measured.map((prompt) => meanReward(prompt.candidate));
  const live = measured.map((prompt) => meanReward(prompt.live));
  const loss = estimate(live.map((reward, i) => reward - (candidate[i] as number)));
  const failed = loss.mean > limits.maxLoss && beyondChance(loss, standardErrors);
  const means = `${mean(candidate).toFixed(3)} against ${mean(live).toFixed(3)} of the live version`;
  return {
    check,
    outcome: failed ? 'failed' : 'passed',
    detail: `mean reward ${means}, by ${rater} on ${measured.length} prompts${failed ? ': worse than chance explains' : ''}`,
    numbers: finiteFigures({
      reward: mean(candidate),
      live_reward: mean(live),
      loss: loss.mean,
      standard_error: loss.standardError,
      ...promptCounts(measured),
    }),
  };
}

function isRewarded(samples: readonly SampleFigures[]): boolean {
  return samples.some(({ reward }) => reward !== null);
}

function meanReward(samples: readonly SampleFigures[]): number {
  return mean(samples.flatMap(({ reward }) => (reward === null ? [] : [reward])));
}
