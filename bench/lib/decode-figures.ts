/** Computes the figures of the decode bench from the rows of the contestants. */

import type { Samples } from './contest.js';
import { arrivalsTask, type ContestantName, contestantNames, type DecodeTask, decodeTasks } from './decode-tasks.js';
import { agreement, completionMs, type EngineRow, firstTokenMs, jointRate, overallRate } from './engine.js';
import type { Figures } from './report.js';
import { median, spread } from './statistics.js';

/** Hone's own figures have no prefix; those of others have the name of the contestant. */
const prefix = (name: ContestantName): string => (name === 'hone' ? '' : `${name.replace('hone_', '')}_`);

interface DecodeLimit {
  /** Bytes of weights that a decode step reads. */
  readonly weightBytes: number;
  /** Read bandwidth, in bytes per second. */
  readonly bandwidth: number;
}

/** Returns the figures, the most important ones first. Figures that were not measured are null. */
export function decodeFigures(samples: Samples, limit: DecodeLimit, promptLengthCtx512: number): Figures {
  const rows = (name: ContestantName, task: string): readonly (readonly EngineRow[])[] | undefined =>
    samples.get(name)?.get(task);
  const middle = (
    name: ContestantName,
    task: string,
    figure: (rows: readonly EngineRow[]) => number,
  ): number | null => {
    const runs = rows(name, task);
    return runs === undefined ? null : median(runs.map(figure));
  };
  const rate = (name: ContestantName, task: DecodeTask): number | null => middle(name, task, jointRate);
  const versus = (own: ContestantName, peer: ContestantName, task: DecodeTask): number | null => {
    const [ours, theirs] = [rows(own, task), rows(peer, task)];
    if (ours === undefined || theirs === undefined) return null;
    // The ratio is taken in each round, in which the load of the machine was the same for both.
    return median(ours.map((round, i) => jointRate(round) / jointRate(theirs[i] as readonly EngineRow[])));
  };
  const limitRatio = (task: DecodeTask): number | null => {
    const tokens = rate('hone', task);
    return tokens === null ? null : (limit.weightBytes * (tokens / decodeTasks[task])) / limit.bandwidth;
  };
  const loraShare = (task: DecodeTask): number | null => {
    const share = versus('hone_lora', 'hone', task);
    return share === null ? null : 1 - share;
  };

  const figures: Record<string, number | null> = {
    limit_ratio_b1: limitRatio('b1'),
    vs_transformers_b1: versus('hone', 'transformers', 'b1'),
    vs_transformers_b8_ctx512: versus('hone', 'transformers', 'b8_ctx512'),
    vs_llamacpp_f32_b1: versus('hone', 'llamacpp_f32', 'b1'),
    lora_cost_b1: loraShare('b1'),
    int8_vs_fp32_b1: versus('hone_int8', 'hone', 'b1'),
    int8_vs_llamacpp_q8_0_b1: versus('hone_int8', 'llamacpp_q8_0', 'b1'),
    lora_cost_b8: loraShare('b8'),
  };
  for (const task of Object.keys(decodeTasks) as DecodeTask[]) {
    figures[`limit_ratio_${task}`] = limitRatio(task);
    for (const peer of ['transformers', 'llamacpp_f32'] as const) {
      const ratio = versus('hone', peer, task);
      if (ratio !== null) figures[`vs_${peer}_${task}`] = ratio;
    }
  }
  for (const name of contestantNames) {
    for (const task of Object.keys(decodeTasks) as DecodeTask[]) {
      const runs = rows(name, task);
      if (runs === undefined) continue;
      figures[`${prefix(name)}tokens_per_s_${task}`] = rate(name, task);
      figures[`${prefix(name)}spread_${task}`] = spread(runs.map(jointRate));
    }
    const first = middle(name, 'b1', firstTokenMs);
    if (first !== null) figures[`${prefix(name)}first_token_ms`] = first;
    const long = middle(name, 'b1_ctx512', firstTokenMs);
    if (long !== null) {
      figures[`${prefix(name)}first_token_ms_ctx512`] = long;
      figures[`${prefix(name)}prefill_tokens_per_s`] = (1000 * promptLengthCtx512) / long;
    }
    if (rows(name, arrivalsTask) === undefined) continue;
    figures[`${prefix(name)}${arrivalsTask}_tokens_per_s`] = middle(name, arrivalsTask, overallRate);
    figures[`${prefix(name)}${arrivalsTask}_first_token_ms`] = middle(name, arrivalsTask, firstTokenMs);
    figures[`${prefix(name)}${arrivalsTask}_completion_ms`] = middle(name, arrivalsTask, completionMs);
  }
  for (const peer of ['transformers', 'llamacpp_f32'] as const) {
    figures[`${peer}_tokens_equal`] = tokensEqual(samples, peer);
  }
  return figures;
}

/** Returns the share of tokens before the first one in which a peer differs from Hone, on single requests. */
function tokensEqual(samples: Samples, peer: ContestantName): number | null {
  let agreed = 0;
  let compared = 0;
  for (const task of ['b1', 'b1_ctx512'] as const) {
    const own = samples.get('hone')?.get(task) ?? [];
    const theirs = samples.get(peer)?.get(task) ?? [];
    for (const [round, rows] of theirs.entries()) {
      const same = agreement(own[round] ?? [], rows);
      agreed += same.agreed;
      compared += same.compared;
    }
  }
  return compared === 0 ? null : agreed / compared;
}

/**
 * Returns a sentence for each peer whose tokens differ from Hone's, because it does not compute the same model. Half of
 * the tokens are enough: sums in another order may flip a near tie, after which two completions have little in common.
 */
export function foreignTokens(model: string, figures: Figures): string[] {
  return Object.entries(figures).flatMap(([key, value]) =>
    key.endsWith('_tokens_equal') && typeof value === 'number' && value < 0.5
      ? [`${model}: ${key} is ${value.toFixed(2)}, so the peer decodes other tokens from the same weights`]
      : [],
  );
}
