/** The report page: what the demo measured, as a page that opens anywhere, without script or network. */

import { writeFile } from 'node:fs/promises';
import { escapeHtml, plot } from '../../models/recipe/plot.js';
import type { Evaluation } from './evaluation.js';
import { mean } from './evaluation.js';

/** A moment of the run. */
export interface Moment {
  readonly seconds: number;
  readonly scores: number;
  readonly version: number;
  readonly tokensPerSecond: number;
  /** Nats per completion; absent before the first round. */
  readonly kl?: number;
}

export interface DemoResult {
  readonly before: Evaluation;
  readonly after: Evaluation;
  readonly bestOf4: number;
  readonly bestOf16: number;
  readonly kl: number;
  readonly versions: number;
  readonly generations: number;
  readonly scores: number;
  readonly refused: number;
  readonly cut: number;
  readonly seconds: number;
  readonly rewards: readonly { readonly version: number; readonly reward: number }[];
  readonly moments: readonly Moment[];
}

/** How much of the distance between the first version's reward and 1 was covered. */
export function gapClosed({ before, after }: Pick<DemoResult, 'before' | 'after'>): number {
  return (after.reward - before.reward) / (1 - before.reward);
}

/** Rows of the final table: a name and its value. */
export function resultRows(result: DemoResult): [name: string, first: string, last: string][] {
  const { before, after } = result;
  const reward = ({ reward, standardError }: Evaluation): string =>
    `${reward.toFixed(3)} ± ${standardError.toFixed(3)}`;
  return [
    ['reward', reward(before), reward(after)],
    ['length in tokens', before.length.toFixed(1), after.length.toFixed(1)],
    ['KL to the first version, nats', '0', result.kl.toFixed(2)],
    ['best of 4 / of 16', `${result.bestOf4.toFixed(3)} / ${result.bestOf16.toFixed(3)}`, ''],
    ['gap to 1.0 closed', '', `${Math.round(100 * gapClosed(result))} %`],
  ];
}

export async function writeReport(path: string, result: DemoResult): Promise<void> {
  await writeFile(path, page(result));
}

const window = 128;

/** Means of non-overlapping windows. */
function smoothed(rewards: DemoResult['rewards']): [number, number][] {
  const points: [number, number][] = [];
  for (let start = 0; start + window <= rewards.length; start += window / 4) {
    points.push([start + window, mean(rewards.slice(start, start + window).map(({ reward }) => reward))]);
  }
  return points;
}

function page(result: DemoResult): string {
  const { before, after, moments } = result;
  const rows = resultRows(result)
    .map((cells) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`)
    .join('');
  const samples = before.samples
    .slice(0, 3)
    .map(({ post, text, score }, i) => {
      const last = after.samples[i];
      return `<article><p>${escapeHtml(post)}</p><p><b>first</b> (${score.toFixed(2)}) ${escapeHtml(text)}</p><p><b>last</b> (${last?.score.toFixed(2)}) ${escapeHtml(last?.text ?? '')}</p></article>`;
    })
    .join('');
  const reward = plot({
    title: 'Reward of what users were shown',
    xLabel: `scores given (means of ${window})`,
    yRange: [0, 1],
    series: [{ label: 'reward', color: '#2a78d6', points: smoothed(result.rewards) }],
    marks: [
      { label: 'first version', y: before.reward },
      { label: 'best of 4 of the first version', y: result.bestOf4 },
    ],
  });
  const kl = plot({
    title: 'Distance from the first version (KL, nats per completion)',
    xLabel: 'scores given',
    series: [
      {
        label: 'KL',
        color: '#b5532a',
        points: moments.flatMap(({ scores, kl }) => (kl === undefined ? [] : [[scores, kl] as const])),
      },
    ],
  });
  const pace = plot({
    title: 'Served while learning',
    xLabel: 'seconds',
    series: [
      {
        label: 'tokens/s',
        color: '#2a9d5c',
        points: moments.map(({ seconds, tokensPerSecond }) => [seconds, tokensPerSecond] as const),
      },
    ],
  });
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Hone: what the demo learned</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem 1rem .2rem 0;text-align:left;font-variant-numeric:tabular-nums}
svg{max-width:100%;height:auto;display:block;margin:1.5rem 0}article{border-left:3px solid #8886;padding-left:1rem;margin:1.5rem 0}</style>
<h1>What the demo learned</h1>
<p>${result.generations} completions were served, ${result.scores} of them scored, in ${Math.round(result.seconds)} seconds;
${result.versions} versions went live while requests ran; ${result.refused} requests were refused, ${result.cut} streams cut.
Both columns are measured on ${before.samples.length} posts that were never in the buffer.</p>
<table><tr><th></th><th>first version</th><th>last version</th></tr>${rows}</table>
${reward}${kl}${pace}
<h2>Three posts</h2>${samples}
</html>
`;
}
