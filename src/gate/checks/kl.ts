/**
 * Checks how far the candidate is from the reference. The measure is the mean of ln pi(y|x) − ln pi_ref(y|x) over
 * completions y of the candidate itself, an unbiased estimate of KL(pi || pi_ref) per prompt.
 */

import type { GateSettings } from '../settings.js';
import { estimate, finiteFigures, mean, sum } from '../statistics.js';
import type { CheckResult, Evidence, SampleFigures } from '../types.js';
import { promptCounts, tooFewPrompts } from './prompts.js';

/**
 * Fails if the mean is above the bound. It makes no allowance for chance, because healthy candidates are far below the
 * bound. A candidate that is no farther out than the live version passes, so that the loop can move back.
 */
export function checkKl({ prompts }: Evidence, { kl }: GateSettings): CheckResult {
  const measured = prompts.filter(({ candidate }) => candidate.some(({ logRatio }) => logRatio !== null));
  const short = tooFewPrompts('kl', measured, kl.minPrompts);
  if (short !== null) return short;
  const samples = measured.map(({ candidate }) => candidate.filter(({ logRatio }) => logRatio !== null));
  const { mean: nats, standardError } = estimate(
    samples.map((drawn) => mean(drawn.map(({ logRatio }) => logRatio as number))),
  );
  const perToken = nats / mean(samples.map((drawn) => sum(drawn.map(({ tokens }) => tokens)) / drawn.length));
  const liveNats = natsOf(prompts.map(({ live }) => live));
  const isBack = liveNats !== null && nats <= liveNats;
  const failed = !(nats <= kl.maxNats) && !isBack;
  const bound =
    isBack && nats > kl.maxNats
      ? `not farther than the live version at ${liveNats.toFixed(2)}`
      : `${failed ? 'above' : 'within'} the bound of ${kl.maxNats}`;
  return {
    check: 'kl',
    outcome: failed ? 'failed' : 'passed',
    detail: `${nats.toFixed(2)} nats per completion from the reference, ${bound}`,
    numbers: finiteFigures({
      nats,
      standard_error: standardError,
      nats_per_token: perToken,
      ...(liveNats === null ? {} : { live_nats: liveNats }),
      ...promptCounts(measured),
    }),
  };
}

/** Mean over prompts; `null` if nothing was measured. */
function natsOf(prompts: readonly (readonly SampleFigures[])[]): number | null {
  const means = prompts.flatMap((samples) => {
    const ratios = samples.flatMap(({ logRatio }) => (logRatio === null ? [] : [logRatio]));
    return ratios.length === 0 ? [] : [mean(ratios)];
  });
  return means.length === 0 ? null : mean(means);
}
