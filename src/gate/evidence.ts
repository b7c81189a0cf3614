/**
 * Measures a candidate beside the live version: it draws completions of both and of the reference in the background, and
 * computes logged completions under both. The results are numbers, which `verdict.ts` judges.
 *
 * All versions draw with the same seeds, so that common noise cancels. The work goes version by version, because a step of
 * the policy runs one version, and its rows share the step.
 */

import type { Package } from '../package/index.js';
import type { Policy, PolicyVersion } from '../policy/index.js';
import type { ReplayReader, ReplayStore } from '../replay/index.js';
import type { RewardModel, RewardSettings } from '../reward/index.js';
import { type DrawnCompletion, stopIfAborted } from './background.js';
import { findNotFinite } from './finite.js';
import { weighLogged } from './importance.js';
import type { GatePace } from './pace.js';
import { choosePrompts } from './prompts.js';
import { figuresBy } from './sample-figures.js';
import { rewardSamples } from './sample-rewards.js';
import { drawSamples, logprobsUnder } from './samples.js';
import type { GateSettings } from './settings.js';
import { mean } from './statistics.js';
import type { Evidence, PromptEvidence } from './types.js';

export interface EvidenceOptions {
  readonly policy: Pick<Policy, 'complete' | 'hold' | 'release'>;
  readonly replay: Pick<ReplayStore, 'recentPrompts' | 'readGenerations' | 'readScores'>;
  /** Reads the same store. Its calls block, so each is short. */
  readonly reader: Pick<ReplayReader, 'readSince' | 'lastSequence'>;
  readonly pkg: Package;
  readonly candidate: PolicyVersion;
  /** The learner's figures on the candidate; all must be finite. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of the live version. */
  readonly live: number;
  /** Number of the version that KL is measured against; the policy must hold it. */
  readonly reference: number;
  readonly rewardModel: RewardModel | null;
  /** Settings by which the scores of logged completions fold into rewards. */
  readonly rewards: RewardSettings;
  /** From the learner's settings. On prompts that train, a candidate looks better than it is. */
  readonly holdoutShare: number;
  readonly settings: GateSettings;
  readonly signal: AbortSignal;
  /** Follows how much of the policy the gate's requests get. */
  readonly pace?: GatePace;
  /** Seed of the gate's draws, 32-bit unsigned. Default: the candidate's number. */
  readonly seed?: number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Gathers the evidence for a verdict. When it resolves or rejects, all of its requests have ended and the candidate is
 * released.
 * @throws HoneError the signal's reason or `CANCELLED` if aborted; `VERSION_NOT_SERVABLE`, `TOO_MANY_VERSIONS`,
 * `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `WORKER_CRASHED`, `DRAINING` of the policy; every error of the reward model
 */
export async function gatherEvidence(options: EvidenceOptions): Promise<Evidence> {
  const { policy, candidate, signal } = options;
  const notFinite = findNotFinite(candidate.adapter, options.metrics);
  if (notFinite !== null) return onlyNotFinite(notFinite);
  stopIfAborted(signal);
  const { probe } = await policy.hold(candidate);
  if (probe.verdict === 'failed') {
    return onlyNotFinite(
      `the probe of its logits failed: their distance is ${probe.toNew} to its own weights and ${probe.toPrevious} to the live version`,
    );
  }
  try {
    return await measure(options);
  } finally {
    await policy.release(candidate.number);
  }
}

/** The evidence of a candidate with a number that is not finite: nothing else is measured. */
function onlyNotFinite(notFinite: string): Evidence {
  return { notFinite, prompts: [], logged: [], rater: null };
}

async function measure(options: EvidenceOptions): Promise<Evidence> {
  const { policy, settings, pkg, holdoutShare, signal, seed = options.candidate.number, now = Date.now } = options;
  const { pace } = options;
  const source = { policy, pkg, signal, concurrency: settings.concurrency, ...(pace === undefined ? {} : { pace }) };
  const { kl, health, off_policy } = settings;
  const rewardModel = settings.reward_model.enabled ? options.rewardModel : null;
  const compared = health.enabled || rewardModel !== null;
  const prompts =
    compared || kl.enabled ? await choosePrompts(options.replay, pkg, holdoutShare, settings.prompts) : [];
  const draw = (version: number): Promise<DrawnCompletion[][]> =>
    drawSamples(source, version, prompts, { ...settings, seed });

  // The samples of the candidate come first, because with a failed one nothing else is needed.
  const candidate = await draw(options.candidate.number);
  const failed = candidate.flat().filter(({ reason }) => reason === 'error').length;
  if (failed > 0) return onlyNotFinite(`${failed} of its completions ended with logits that are not finite`);
  let live = compared ? await draw(options.live) : [];
  // While the reference is the live version, one set of samples serves both.
  const moved = options.reference !== options.live;
  const reference = health.enabled ? (moved ? await draw(options.reference) : live) : [];
  const tokens = candidate.map((samples) => samples.map((drawn) => drawn.tokens));
  const underReference = kl.enabled ? await logprobsUnder(source, options.reference, prompts, tokens) : [];
  let liveUnderReference: number[][] = [];
  if (moved && klOf(candidate, underReference) > kl.maxNats) {
    // Only for a candidate that is far out does it matter whether it is on its way back.
    if (!compared) live = await draw(options.live);
    const tokensOfLive = live.map((samples) => samples.map((drawn) => drawn.tokens));
    liveUnderReference = await logprobsUnder(source, options.reference, prompts, tokensOfLive);
  }
  const rewards = rewardModel === null ? [] : await rewardSamples(signal, rewardModel, prompts, [candidate, live]);
  const { replay, reader, rewards: fold } = options;
  const log = { ...source, replay, reader, holdoutShare, rewards: fold, nowMs: now(), count: off_policy.completions };
  const logged = off_policy.enabled ? await weighLogged(log, options.candidate.number, options.live) : [];

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

/** Mean of ln pi - ln pi_ref over all samples; 0 if none was measured. */
function klOf(drawn: readonly (readonly DrawnCompletion[])[], underReference: readonly (readonly number[])[]): number {
  const ratios = underReference.flatMap((row, p) => row.map((logprob, i) => (drawn[p]?.[i]?.logprob ?? 0) - logprob));
  return ratios.length === 0 ? 0 : mean(ratios);
}
