/**
 * One step of learning: draw groups, look up the reference's log-probabilities, differentiate CoPG, update by AdamW.
 */

import type { AdamW } from '../adamw.js';
import type { ValueBaseline } from '../baseline/types.js';
import type { ExperienceBuffer } from '../experience/buffer.js';
import type { Member } from '../experience/members.js';
import { sampleGroups } from '../experience/sampler.js';
import { type CopgResult, differentiateCopg } from '../objective.js';
import { nameOfRow, RecordsAtFault } from '../quarantine/records-at-fault.js';
import { createRandom } from '../random.js';
import { betaAt } from '../schedules.js';
import type { LearnerSettings, Parameters, Reference, TrainingEngine, TrainingRow } from '../types.js';

export interface StepOptions {
  readonly engine: TrainingEngine;
  readonly optimizer: Pick<AdamW, 'step' | 'steps'>;
  readonly buffer: ExperienceBuffer;
  readonly baseline: ValueBaseline;
  /** Trained in place. */
  readonly parameters: Parameters;
  readonly reference: Reference;
  readonly settings: LearnerSettings;
}

/** The figures of one step. */
export interface StepReport {
  /** Completions in the batch. */
  readonly rows: number;
  /** False if the loss or a gradient was not finite: no parameter changed. */
  readonly applied: boolean;
  readonly loss: number;
  /** Over scored completions; null if the batch has preference pairs only. */
  readonly meanReward: number | null;
  /**
   * KL of the newest version in the batch to the reference, in nats per completion; null if people wrote all
   * completions.
   */
  readonly kl: number | null;
  /** Mean h of the completions with negative weights; null if there is none. */
  readonly belowMeanH: number | null;
  readonly gradientNorm: number;
  /** The completions of the batch. */
  readonly members: readonly Member[];
  /** ln pi of each completion before the step. */
  readonly logprobs: ArrayLike<number>;
  /** The weight of each completion. */
  readonly weights: ArrayLike<number>;
}

/**
 * Runs one step.
 * @param number of the step, which decides its random draws together with the seed
 * @returns null if every completion is used up
 */
export async function learnStep(options: StepOptions, number: number): Promise<StepReport | null> {
  const { engine, optimizer, buffer, baseline, parameters, settings } = options;
  const random = createRandom(settings.seed ^ Math.imul(number + 1, 0x9e3779b1));
  const members: Member[] = [];
  const groups: number[] = [];
  for (const [index, group] of sampleGroups(buffer, settings, random).entries()) {
    for (const member of group) {
      members.push(member);
      groups.push(index);
    }
  }
  if (members.length === 0) return null;
  const beta = betaAt(settings, optimizer.steps);
  await addReference(engine, members, options.reference);
  const referenceLogprobs = members.map(({ reference }) => reference?.logprob ?? 0);
  const rewards = members.map((member) => member.reward);
  const result = await differentiateCopg(
    engine,
    {
      rows: members.map(toRow),
      groups,
      rewards,
      referenceLogprobs,
      values: await baseline.values(members),
      beta,
    },
    parameters,
  );
  const h = members.map((_, i) => (result.logprobs[i] ?? Number.NaN) - (referenceLogprobs[i] ?? Number.NaN));
  const finite = Number.isFinite(result.loss) && h.every(Number.isFinite);
  const { norm, applied } = finite
    ? optimizer.step(parameters, result.gradients)
    : { norm: Number.NaN, applied: false };
  if (applied) baseline.observe(members, h, beta);
  return {
    rows: members.length,
    applied,
    loss: result.loss,
    meanReward: average(members.flatMap(({ group, reward }) => (group.kind === 'scores' ? [reward] : []))),
    kl: klOfNewest(members, settings),
    belowMeanH: meanOfPushedDown(h, result),
    gradientNorm: norm,
    members,
    logprobs: result.logprobs,
    weights: result.weights,
  };
}

/** Adds ln pi_ref to the members that lack it: each completion is evaluated under a reference once. */
async function addReference(
  engine: TrainingEngine,
  members: readonly Member[],
  { digest, parameters }: Reference,
): Promise<void> {
  const missing = members.filter(({ reference }) => reference?.digest !== digest);
  if (missing.length === 0) return;
  const logprobs = await engine.logProbabilities(missing.map(toRow), parameters);
  const odd = missing.filter((_, i) => !Number.isFinite(logprobs[i]));
  if (odd.length > 0) await requireFinite(engine, odd, parameters);
  for (const [i, member] of missing.entries()) member.reference = { digest, logprob: logprobs[i] ?? Number.NaN };
}

/**
 * A completion without a finite log-probability under the reference would make every step worthless that draws it. The
 * reference does not change, so that is no matter of training.
 * @throws RecordsAtFault those that have none alone either, unless all have none
 */
async function requireFinite(engine: TrainingEngine, members: readonly Member[], reference: Parameters): Promise<void> {
  const [usual] = await engine.logProbabilities([{ promptTokens: [0], completionTokens: [0] }], reference);
  if (!Number.isFinite(usual)) return;
  const faults = new Map<string, string>();
  for (const row of members.map(toRow)) {
    const [logprob] = await engine.logProbabilities([row], reference);
    if (!Number.isFinite(logprob)) faults.set(nameOfRow(row), `its log-probability under the reference is ${logprob}`);
  }
  if (faults.size > 0) throw new RecordsAtFault(faults);
}

/**
 * E_pi[ln pi - ln pi_ref] over completions that pi itself wrote: those of the newest version, with the
 * log-probabilities recorded when they were sampled. Over completions of older versions, the mean of h would not
 * be a divergence.
 */
function klOfNewest(
  members: readonly Member[],
  { logProbability }: Pick<LearnerSettings, 'logProbability'>,
): number | null {
  const written = members.filter(({ behaviourLogprob }) => behaviourLogprob !== null);
  const newest = Math.max(...written.map(({ version }) => version));
  return average(
    written.flatMap(({ version, behaviourLogprob, reference, completionTokens }) => {
      if (version !== newest) return [];
      const tokens = logProbability === 'mean' ? completionTokens.length : 1;
      return [(behaviourLogprob ?? Number.NaN) - (reference?.logprob ?? Number.NaN) * tokens];
    }),
  );
}

/** ln pi(y|x) of each completion under the parameters. */
export function evaluate(
  engine: TrainingEngine,
  members: readonly Member[],
  parameters: Parameters,
): Promise<Float32Array> {
  return engine.logProbabilities(members.map(toRow), parameters);
}

function toRow({ group, completionTokens }: Member): TrainingRow {
  return { promptTokens: group.promptTokens, completionTokens };
}

function meanOfPushedDown(h: readonly number[], { weights }: CopgResult): number | null {
  const below = h.filter((_, i) => (weights[i] ?? 0) < 0);
  return average(below);
}

function average(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
