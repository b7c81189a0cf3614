/**
 * Measures a candidate beside the version that serves: completions drawn in the background from both and from the
 * reference, and logged completions under both. What comes out are numbers; `verdict.ts` judges them.
 *
 * All versions draw with the same seeds, so that what they have in common cancels. Work goes version by version: a step
 * of the policy runs one version, and its rows share it.
 */

import type { Package } from '../package/index.js';
import type { Policy, PolicyVersion } from '../policy/index.js';
import type { ReplayReader, ReplayStore } from '../replay/index.js';
import type { RewardModel, RewardSettings } from '../reward/index.js';
import { type Drawn, stopIfAborted } from './background.js';
import { findNotFinite } from './finite.js';
import { weighLogged } from './importance.js';
import { choosePrompts, type GatePrompt } from './prompts.js';
import { repeatedShare } from './repetition.js';
import { drawSamples, logprobsUnder } from './samples.js';
import type { GateSettings } from './settings.js';
import { mean } from './statistics.js';
import type { Evidence, PromptEvidence, SampleFigures } from './types.js';

export interface EvidenceOptions {
  readonly policy: Pick<Policy, 'complete' | 'hold' | 'release'>;
  readonly replay: Pick<ReplayStore, 'recentPrompts' | 'readGenerations' | 'readScores'>;
  /** Of the same store; its calls block, and are kept short. */
  readonly reader: Pick<ReplayReader, 'readSince' | 'lastSequence'>;
  readonly pkg: Package;
  readonly candidate: PolicyVersion;
  /** What the learner reports of the candidate; all figures must be finite. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of the version that serves. */
  readonly live: number;
  /** Number of the version that KL is measured against; the policy must hold it. */
  readonly reference: number;
  readonly rewardModel: RewardModel | null;
  /** How scores of logged completions fold. */
  readonly rewards: RewardSettings;
  /** Of the learner's settings: on prompts that train, a candidate looks better than it is. */
  readonly holdoutShare: number;
  readonly settings: GateSettings;
  readonly signal: AbortSignal;
  /** Of the gate's draws, 32-bit unsigned. Default: the candidate's number. */
  readonly seed?: number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Gathers the evidence for a verdict. Nothing runs any more when it resolves or rejects, and the candidate is held no
 * longer than it takes.
 * @throws HoneError the signal's reason or `CANCELLED` when aborted; `VERSION_NOT_SERVABLE`, `TOO_MANY_VERSIONS`,
 * `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `WORKER_CRASHED`, `DRAINING` of the policy; whatever the reward model throws
 */
export async function gatherEvidence(options: EvidenceOptions): Promise<Evidence> {
  const { policy, candidate, signal } = options;
  const notFinite = findNotFinite(candidate.adapter, options.metrics);
  if (notFinite !== null) return nothingBut(notFinite);
  stopIfAborted(signal);
  const { probe } = await policy.hold(candidate);
  if (probe.verdict === 'failed') {
    return nothingBut(`the probe of its logits failed: ${probe.toNew} from its weights, ${probe.toPrevious} from live`);
  }
  try {
    return await measure(options);
  } finally {
    await policy.release(candidate.number);
  }
}

/** What has numbers that are none is not measured further. */
function nothingBut(notFinite: string): Evidence {
  return { notFinite, prompts: [], logged: [], rater: null };
}

async function measure(options: EvidenceOptions): Promise<Evidence> {
  const { policy, settings, pkg, holdoutShare, signal, seed = options.candidate.number, now = Date.now } = options;
  const source = { policy, pkg, signal, concurrency: settings.concurrency };
  const { kl, health, off_policy } = settings;
  const rewardModel = settings.reward_model.enabled ? options.rewardModel : null;
  const compared = health.enabled || rewardModel !== null;
  const prompts =
    compared || kl.enabled ? await choosePrompts(options.replay, pkg, holdoutShare, settings.prompts) : [];
  const draw = (version: number): Promise<Drawn[][]> => drawSamples(source, version, prompts, { ...settings, seed });

  const candidate = await draw(options.candidate.number);
  const failed = candidate.flat().filter(({ reason }) => reason === 'error').length;
  if (failed > 0) return nothingBut(`${failed} of its completions ended on logits that are not finite`);
  let live = compared ? await draw(options.live) : [];
  const moved = options.reference !== options.live;
  const reference = health.enabled ? (moved ? await draw(options.reference) : live) : [];
  const tokens = candidate.map((samples) => samples.map((drawn) => drawn.tokens));
  const underReference = kl.enabled ? await logprobsUnder(source, options.reference, prompts, tokens) : [];
  let liveUnderReference: number[][] = [];
  if (moved && klOf(candidate, underReference) > kl.maxNats) {
    // Whether it is on the way back is asked only of those that are far out.
    if (!compared) live = await draw(options.live);
    const tokensOfLive = live.map((samples) => samples.map((drawn) => drawn.tokens));
    liveUnderReference = await logprobsUnder(source, options.reference, prompts, tokensOfLive);
  }
  const rewards = rewardModel === null ? [] : await reward(signal, rewardModel, prompts, [candidate, live]);
  const { replay, reader, rewards: fold } = options;
  const where = { ...source, replay, reader, holdoutShare, rewards: fold, nowMs: now(), count: off_policy.completions };
  const logged = off_policy.enabled ? await weighLogged(where, options.candidate.number, options.live) : [];

  const figures = figuresBy(health.ngram);
  return {
    notFinite: null,
    rater: rewardModel?.rater ?? null,
    prompts: prompts.map(
      ({ heldOut }, p): PromptEvidence => ({
        heldOut,
        candidate: figures(candidate[p], rewards[0]?.[p], underReference[p]),
        live: figures(live[p], rewards[1]?.[p], liveUnderReference[p]),
        reference: figures(reference[p]),
      }),
    ),
    logged,
  };
}

/** Mean of ln pi - ln pi_ref over all samples; 0 where none was measured. */
function klOf(drawn: readonly (readonly Drawn[])[], underReference: readonly (readonly number[])[]): number {
  const ratios = underReference.flatMap((row, p) => row.map((logprob, i) => (drawn[p]?.[i]?.logprob ?? 0) - logprob));
  return ratios.length === 0 ? 0 : mean(ratios);
}

type Reward = number | null;

/** Rewards of the samples of each version, by prompt. */
async function reward(
  signal: AbortSignal,
  model: RewardModel,
  prompts: readonly GatePrompt[],
  versions: readonly (readonly Drawn[][])[],
): Promise<Reward[][][]> {
  const result: Reward[][][] = [];
  for (const drawn of versions) {
    stopIfAborted(signal);
    const items = drawn.flatMap((samples, p) => {
      const { promptTokens, promptJson } = prompts[p] as GatePrompt;
      return samples.map(({ tokens, text }) => ({ promptTokens: [...promptTokens], promptJson, tokens, text }));
    });
    const scores = items.length === 0 ? [] : await model.score(items);
    let next = 0;
    result.push(drawn.map((samples) => samples.map(() => finiteOrNull(scores[next++]))));
  }
  return result;
}

function finiteOrNull(score: Reward | undefined): Reward {
  return typeof score === 'number' && Number.isFinite(score) ? score : null;
}

/** Figures of samples; equal completions get equal numbers throughout. */
function figuresBy(ngram: number) {
  const answers = new Map<string, number>();
  return (
    drawn: readonly Drawn[] = [],
    rewards: readonly Reward[] = [],
    underReference: readonly number[] = [],
  ): SampleFigures[] =>
    drawn.map(({ tokens, text, endOfSequence, logprob }, i) => {
      const key = tokens.join();
      const answer = answers.get(key) ?? answers.size;
      answers.set(key, answer);
      const referenceLogprob = underReference[i];
      return {
        tokens: tokens.length,
        endOfSequence,
        empty: text.trim() === '',
        repeated: repeatedShare(tokens, ngram),
        answer,
        logRatio: referenceLogprob === undefined ? null : logprob - referenceLogprob,
        reward: rewards[i] ?? null,
      };
    });
}
