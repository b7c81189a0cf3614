/** Computes logged completions under the candidate and under the live version, for the importance estimate. */

import { stopIfAborted } from './background.js';
import { findLogged, type LoggedCompletion, type LoggedOptions } from './logged.js';
import { logprobsUnder, type SampleSource } from './samples.js';
import type { LoggedEvidence } from './types.js';

type Groups = readonly (readonly LoggedCompletion[])[];

/** @throws HoneError if aborted, and every error of the policy and the store */
export async function weighLogged(
  options: LoggedOptions & SampleSource,
  candidate: number,
  live: number,
): Promise<LoggedEvidence[]> {
  const groups = byPrompt(await findLogged(options));
  stopIfAborted(options.signal);
  const underCandidate = await logRatios(options, candidate, groups);
  const underLive = await logRatios(options, live, groups);
  return groups.flatMap((group, prompt) =>
    group.map(({ reward }, i) => ({
      prompt,
      reward,
      candidate: underCandidate[prompt]?.[i] as number,
      live: underLive[prompt]?.[i] as number,
    })),
  );
}

function byPrompt(completions: readonly LoggedCompletion[]): Groups {
  const groups = new Map<string, LoggedCompletion[]>();
  for (const completion of completions) {
    const { groupKey } = completion.generation;
    const group = groups.get(groupKey);
    if (group === undefined) groups.set(groupKey, [completion]);
    else group.push(completion);
  }
  return [...groups.values()];
}

/** ln pi − ln mu, by group. A completion that the version wrote itself has the ratio 1 and needs no run. */
async function logRatios(source: SampleSource, version: number, groups: Groups): Promise<number[][]> {
  const foreign = ({ generation }: LoggedCompletion): boolean => generation.version !== version;
  const asked = groups.map((group) => group.filter(foreign)).filter((group) => group.length > 0);
  const logprobs = await logprobsUnder(
    source,
    version,
    asked.map((group) => ({ promptTokens: group[0]?.generation.promptTokens ?? [] })),
    asked.map((group) => group.map(({ generation }) => generation.tokens)),
  );
  const known = new Map(asked.flatMap((group, g) => group.map((one, i) => [one, logprobs[g]?.[i] as number] as const)));
  return groups.map((group) => group.map((one) => (known.get(one) ?? one.logprob) - one.logprob));
}
