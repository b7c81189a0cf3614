/**
 * Writes the demo's report as an HTML page. The page needs no script and no network, and fits a wide screen and a phone,
 * in light and dark mode.
 */

import { writeFile } from 'node:fs/promises';
import { escapeHtml, type PlotOptions, plot } from '../../models/recipe/plot.js';
import { type DemoResult, describeVersions, klOf, livesOf, resultTable } from './report.js';
import { estimate } from './statistics.js';

export async function writePage(path: string, result: DemoResult): Promise<void> {
  await writeFile(path, pageOf(result));
}

/** Returns the page as HTML. */
export function pageOf(result: DemoResult): string {
  const { before, app, outcome } = result;
  const { header, rows } = resultTable(result);
  const toRow = (cells: readonly string[], tag: 'td' | 'th'): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  const reasons = outcome.reasons
    .map(({ what, remedy }) => `<li>${escapeHtml(what)}<br>Try: ${escapeHtml(remedy)}</li>`)
    .join('');
  const charts = [rewardChart(result), klChart(result), paceChart(result)].filter((chart) => chart !== undefined);
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hone: results of the demo</title>
<style>${style}</style>
<h1>Results of the demo</h1>
<p><b>${escapeHtml(outcome.headline)}</b></p>${reasons === '' ? '' : `<ul>${reasons}</ul>`}
<p>${app.generations} completions were served, ${app.scores} of them scored, in ${Math.round(result.seconds)} seconds;
${describeVersions(result)}; ${app.refused} requests were refused, ${app.cut} streams cut.
Versions are measured on ${before.answers.length} posts that no version was trained on; ± is one standard error.</p>
<table>${toRow(header, 'th')}${rows.map((cells) => toRow(cells, 'td')).join('')}</table>
${charts.map(figure).join('\n')}
${samples(result)}</html>
`;
}

const style = [
  ':root{color-scheme:light dark}',
  'body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}',
  'table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top}',
  'td+td{white-space:nowrap;font-variant-numeric:tabular-nums}',
  '@media(max-width:36rem){table{font-size:.875rem}td,th{padding-right:.6rem}}',
  'figure{margin:1.5rem 0}figcaption{font-size:.875rem;color:#595959}svg{max-width:100%;height:auto;display:block}',
  '.narrow{display:none}@media(max-width:36rem){.wide{display:none}.narrow{display:block}}',
  'article{border-left:3px solid #8886;padding-left:1rem;margin:1.5rem 0}',
  '@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}figcaption{color:#b4b4b4}}',
].join('\n');

interface Chart extends PlotOptions {
  readonly caption: string;
}

/** Draws the chart twice, for a wide and a narrow screen, because the words of a chart that is scaled down are too small. */
function figure({ caption, ...options }: Chart): string {
  const wide = `<div class="wide">${plot(options)}</div>`;
  const narrow = `<div class="narrow">${plot({ ...options, width: 340, height: 260 })}</div>`;
  return `<figure>${wide}${narrow}<figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

/** Draws moving means of the rewards, each with its standard error. */
function rewardChart({ app, before }: DemoResult): Chart | undefined {
  const window = Math.min(128, Math.floor(app.rewards.length / 8));
  if (window < 8) return undefined;
  const step = Math.floor(window / 4);
  const windows = Array.from({ length: Math.floor((app.rewards.length - window) / step) + 1 }, (_, i) =>
    app.rewards.slice(i * step, i * step + window),
  );
  const estimates = windows.map((rewards) => estimate(rewards.map(({ reward }) => reward)));
  return {
    title: 'Reward of what users were shown',
    caption: `Means over the last ${window} scores; the band is one standard error.`,
    xLabel: 'scores given',
    yRange: [0, 1],
    series: [
      {
        label: 'reward',
        color: '#2a78d6',
        points: estimates.map(({ mean }, i) => [i * step + window, mean] as const),
        errors: estimates.map(({ standardError }) => standardError),
      },
    ],
    marks: [
      { label: 'first version', y: before.reward().mean },
      { label: 'its best of 4', y: estimate(before.bestOf(4)).mean },
    ],
  };
}

/** Draws the KL that the gate measured for each version that went live. */
function klChart(result: DemoResult): Chart | undefined {
  const measured = livesOf(result).flatMap((version) => {
    const kl = klOf(result.versions, version);
    return kl === undefined ? [] : [{ number: version.number, kl }];
  });
  if (measured.length === 0) return undefined;
  return {
    title: 'Distance from the first version',
    caption:
      'KL in nats per completion, as the gate measured it for each version that went live; bars are one standard error.',
    xLabel: 'version',
    series: [
      {
        label: 'KL',
        color: '#b5532a',
        bars: true,
        points: [[0, 0], ...measured.map(({ number, kl }) => [number, kl.mean] as const)],
        errors: [0, ...measured.map(({ kl }) => kl.standardError)],
      },
    ],
  };
}

function paceChart({ moments }: DemoResult): Chart | undefined {
  if (moments.every(({ tokensPerSecond }) => tokensPerSecond === null)) return undefined;
  const breaks = moments.some(({ tokensPerSecond }) => tokensPerSecond === null);
  const most = Math.max(...moments.map(({ tokensPerSecond }) => tokensPerSecond ?? 0));
  return {
    title: 'Served while learning',
    caption: `Tokens per second while requests ran.${breaks ? ' The line breaks when no request ran, because the users wait when they are ahead of the learner.' : ''}`,
    xLabel: 'seconds',
    yRange: [0, most],
    series: [
      {
        label: 'tokens/s',
        color: '#2a9d5c',
        points: moments.map(({ seconds, tokensPerSecond }) => [seconds, tokensPerSecond] as const),
      },
    ],
  };
}

/** Shows three posts with an answer of the first and of the last version; empty if the first version still serves. */
function samples({ before, after }: DemoResult): string {
  if (after === undefined) return '';
  const articles = before.answers.slice(0, 3).map(({ post, texts, scores }, i) => {
    const last = after.answers[i];
    const answer = (name: string, score = Number.NaN, text = ''): string =>
      `<p><b>${name}</b> (${score.toFixed(2)}) ${escapeHtml(text)}</p>`;
    return `<article><p>${escapeHtml(post)}</p>${answer('first', scores[0], texts[0])}${answer('last', last?.scores[0], last?.texts[0])}</article>`;
  });
  return `<h2>Three posts</h2>${articles.join('')}\n`;
}
