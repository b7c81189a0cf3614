/**
 * Checks the candidate against the scores that people gave to logged completions. It compares the self-normalised
 * importance estimate of the candidate's reward, on prompts that never train, with the same estimate for the live
 * version.
 *
 *     V(pi) = sum_i w_i R_i / sum_i w_i,    w_i = pi(y_i|x_i) / mu(y_i|x_i),    mu: the version that wrote y_i
 *     effective sample size = (sum_i w_i)^2 / sum_i w_i^2
 *
 * The standard error of the difference is that of its linearisation, summed within prompts, because completions of one
 * prompt are not independent. With few effective samples neither estimate is reliable, and the check is skipped.
 */

import type { GateSettings } from '../settings.js';
import { beyondChance, finiteFigures, sum } from '../statistics.js';
import type { CheckResult, Evidence, LoggedEvidence } from '../types.js';

/** Fails if enough samples are effective and the estimated loss exceeds both the accepted loss and chance. */
export function checkOffPolicy({ logged }: Evidence, settings: GateSettings): CheckResult {
  const { off_policy: limits, standardErrors } = settings;
  const check = 'off_policy';
  if (logged.length === 0) {
    const detail = 'no logged completion of a held-out prompt has a reward and was sampled without truncation';
    return { check, outcome: 'skipped', detail, numbers: {} };
  }
  const candidate = weigh(logged, (item) => item.candidate);
  const live = weigh(logged, (item) => item.live);
  const loss = { mean: live.value - candidate.value, standardError: errorOfDifference(logged, candidate, live) };
  const effective = Math.min(candidate.effective, live.effective);
  const numbers = finiteFigures({
    reward: candidate.value,
    live_reward: live.value,
    loss: loss.mean,
    standard_error: loss.standardError,
    effective_samples: candidate.effective,
    live_effective_samples: live.effective,
    completions: logged.length,
  });
  // It is NaN if all weights vanish, so the comparison is negated.
  if (!(effective >= limits.minEffective)) {
    const detail = `${logged.length} logged completions are worth ${effective.toFixed(1)} effective samples, at least ${limits.minEffective} are needed`;
    return { check, outcome: 'skipped', detail, numbers };
  }
  const failed = loss.mean > limits.maxLoss && beyondChance({ ...loss, count: logged.length }, standardErrors);
  const means = `${candidate.value.toFixed(3)} against ${live.value.toFixed(3)} of the live version`;
  const detail = `estimated reward ${means}, from ${logged.length} logged completions${failed ? ': worse than chance explains' : ''}`;
  return { check, outcome: failed ? 'failed' : 'passed', detail, numbers };
}

interface Weighed {
  /** The weights add up to 1. */
  readonly weights: readonly number[];
  readonly value: number;
  readonly effective: number;
}

function weigh(logged: readonly LoggedEvidence[], logRatio: (item: LoggedEvidence) => number): Weighed {
  // Weights relative to the largest give the same estimate, and none overflows.
  const largest = logged.reduce((most, item) => Math.max(most, logRatio(item)), Number.NEGATIVE_INFINITY);
  const raw = logged.map((item) => Math.exp(logRatio(item) - largest));
  const total = sum(raw);
  const weights = raw.map((weight) => weight / total);
  return {
    weights,
    value: sum(weights.map((weight, i) => weight * (logged[i] as LoggedEvidence).reward)),
    effective: 1 / sum(weights.map((weight) => weight * weight)),
  };
}

function errorOfDifference(logged: readonly LoggedEvidence[], candidate: Weighed, live: Weighed): number {
  const byPrompt = new Map<number, number[]>();
  for (const [i, { prompt, reward }] of logged.entries()) {
    const part = ({ weights, value }: Weighed): number => (weights[i] as number) * (reward - value);
    const parts = byPrompt.get(prompt) ?? [];
    parts.push(part(candidate) - part(live));
    byPrompt.set(prompt, parts);
  }
  const prompts = byPrompt.size;
  if (prompts < 2) return Number.POSITIVE_INFINITY;
  const squares = [...byPrompt.values()].map((parts) => sum(parts) ** 2);
  return Math.sqrt((sum(squares) * prompts) / (prompts - 1));
}
