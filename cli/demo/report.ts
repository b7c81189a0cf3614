/** Prints the demo's result, as text for people and as a line of JSON for programs. */

import type { Version } from '../../client/index.js';
import { formatTable, print, printJson, remark } from '../output.js';
import type { AppFigures } from './app.js';
import type { Evaluation } from './evaluation.js';
import { type Comparison, type Outcome, wentLive } from './outcome.js';
import { type Estimate, estimate, formatEstimate } from './statistics.js';

/** One second of the run. */
export interface Moment {
  readonly seconds: number;
  /** Rate while requests ran; null if none ran because the app waited for the learner. */
  readonly tokensPerSecond: number | null;
}

export interface DemoResult extends Comparison {
  readonly outcome: Outcome;
  readonly liveVersion: number;
  readonly versions: readonly Version[];
  /** KL from the last version to the first, in nats per completion; undefined if the gate did not measure it. */
  readonly kl: Estimate | undefined;
  readonly app: AppFigures;
  readonly seconds: number;
  readonly moments: readonly Moment[];
}

/** Returns the KL that the gate measured for a version, or for an older one with the same weights. */
export function klOf(versions: readonly Version[], { adapterDigest }: Version): Estimate | undefined {
  const judged = versions.find((one) => one.adapterDigest === adapterDigest && one.verdict.length > 0);
  const { nats, standard_error: standardError } = judged?.verdict.find(({ check }) => check === 'kl')?.numbers ?? {};
  return nats === undefined || standardError === undefined ? undefined : { mean: nats, standardError };
}

/** Returns the versions that went live, oldest first. */
export function livesOf({ versions }: DemoResult): Version[] {
  return versions.filter(wentLive).sort((a, b) => a.number - b.number);
}

/** Returns the final table: a header, and rows of a name and its value for the first and the last version. */
export function resultTable(result: DemoResult): { header: string[]; rows: string[][] } {
  const { before, after, kl } = result;
  const both = (name: string, of: (one: Evaluation) => Estimate, decimals: number): string[] => [
    name,
    formatEstimate(of(before), decimals),
    ...(after === undefined ? [] : [formatEstimate(of(after), decimals)]),
  ];
  const onlyFirst = after === undefined ? [] : [''];
  return {
    header: ['', 'first version', ...(after === undefined ? [] : ['last version'])],
    rows: [
      both('reward', (one) => one.reward(), 3),
      both('length in tokens', (one) => one.length(), 1),
      ...(after === undefined || kl === undefined ? [] : [['KL to the first, nats', '0', formatEstimate(kl, 2)]]),
      ['best of 4', formatEstimate(estimate(before.bestOf(4)), 3), ...onlyFirst],
      ['best of 16', formatEstimate(estimate(before.bestOf(16)), 3), ...onlyFirst],
      ...gapRows(result),
    ],
  };
}

function gapRows({ outcome: { gain, gapClosed } }: DemoResult): string[][] {
  if (gain === undefined) return [];
  const rows = [['gain', '', formatEstimate(gain, 3)]];
  if (gapClosed !== undefined) {
    const percent = { mean: 100 * gapClosed.mean, standardError: 100 * gapClosed.standardError };
    rows.push(['share of the way to the best of 16', '', `${formatEstimate(percent, 0)} %`]);
  }
  return rows;
}

/** Describes in a phrase how many candidates there were, went live and were rejected. */
export function describeVersions(result: DemoResult): string {
  const learned = result.versions.filter(({ origin }) => origin === 'learned');
  const refused = learned.filter(({ state }) => state === 'rejected').length;
  return `${count(learned.length, 'candidate')}, ${livesOf(result).length} went live, ${refused} rejected`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Prints the result. With `json`, the text goes to standard error and a line of JSON to standard output. */
export function show(result: DemoResult, page: string, json: boolean): void {
  const say = json ? remark : print;
  const { before, after, app, outcome } = result;
  say('', outcome.headline);
  for (const { what, remedy } of outcome.reasons) say(`  because  ${what}`, `      try  ${remedy}`);
  const { header, rows } = resultTable(result);
  say('', ...formatTable(header, rows), '');
  for (const [i, { post, scores, texts }] of (after === undefined ? [] : before.answers.slice(0, 3)).entries()) {
    const last = after?.answers[i];
    say(
      post,
      `  first ${scores[0]?.toFixed(2)}  ${texts[0]}`,
      `  last  ${last?.scores[0]?.toFixed(2)}  ${last?.texts[0]}`,
      '',
    );
  }
  say(
    `${app.scores} scores, ${app.generations} completions, ${app.refused} refused, ${app.cut} cut, ${describeVersions(result)}, ${Math.round(result.seconds)} s`,
    `The curves: ${page}`,
  );
  if (json) printJson(toJson(result, page));
}

/** Returns the result for programs. Figures that were not measured, or are within chance, are absent. */
function toJson(result: DemoResult, page: string): Record<string, unknown> {
  const { before, after, app, outcome, kl } = result;
  const figure = (name: string, value: Estimate | undefined): Record<string, number> =>
    value === undefined ? {} : { [name]: value.mean, [`${name}_stderr`]: value.standardError };
  const learned = result.versions.filter(({ origin }) => origin === 'learned');
  return {
    outcome: outcome.kind,
    reasons: outcome.reasons.map(({ what }) => what),
    ...figure('reward_before', before.reward()),
    ...figure('reward_after', after?.reward()),
    ...figure('gain', outcome.gain),
    ...figure('best_of_4', estimate(before.bestOf(4))),
    ...figure('best_of_16', estimate(before.bestOf(16))),
    ...figure('gap_closed', outcome.gapClosed),
    ...(after === undefined ? {} : figure('kl', kl)),
    live_version: result.liveVersion,
    candidates: learned.length,
    went_live: livesOf(result).length,
    turned_down: learned.filter(({ state }) => state === 'rejected').length,
    generations: app.generations,
    scores: app.scores,
    refused: app.refused,
    cut: app.cut,
    seconds: Math.round(result.seconds),
    page,
  };
}
