/** Writes the model card of the default policy: its shape, its training curve, its scores and some of its summaries. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadPackage } from '../../src/package/index.js';
import type { CurvePoint } from './curve.js';
import type { DecoderShape } from './decoder.js';
import judgeFacts from './judges/facts.js';
import judgeTone from './judges/tone.js';
import { plot } from './plot.js';
import { createProgress } from './progress.js';
import { openBasePolicy, sampleTexts } from './sampling.js';
import { createPost, type Post } from './world/index.js';

interface CardOptions {
  readonly shape: DecoderShape;
  readonly parameters: number;
  readonly curve: readonly CurvePoint[];
  /** Number of held-out posts to sample for. */
  readonly posts: number;
  readonly threads: number;
}

const samplesPerPost = 4;
/** Seed of the card's first held-out post. The training curve uses the first held-out posts, the demo uses others. */
const firstSeed = 500_000;

interface Sampled {
  readonly post: Post;
  readonly texts: readonly string[];
}

/** Samples from the finished package as a server does, and writes `README.md` and `training.svg` into its folder. */
export async function writeCard(directory: string, options: CardOptions): Promise<void> {
  const sampled = await sample(directory, options);
  await writeFile(join(directory, 'training.svg'), curvePlot(options.curve));
  await writeFile(join(directory, 'README.md'), card(options, sampled));
}

async function sample(directory: string, { posts, threads }: CardOptions): Promise<Sampled[]> {
  const pkg = await loadPackage(directory);
  const policy = await openBasePolicy(pkg, threads);
  const progress = createProgress('card', posts);
  try {
    const sampled: Sampled[] = [];
    for (let i = 0; i < posts; i++) {
      const post = createPost(firstSeed + i, 'held-out');
      const promptTokens = pkg.tokenizer.encodeChat([{ role: 'user', content: post.text }]);
      sampled.push({ post, texts: await sampleTexts(policy, promptTokens, samplesPerPost, i * samplesPerPost) });
      progress.update(i + 1, 'held-out posts summarised');
    }
    progress.finish(`${posts} held-out posts summarised`);
    return sampled;
  } finally {
    await policy.close();
  }
}

function curvePlot(curve: readonly CurvePoint[]): string {
  return plot({
    title: 'Cross-entropy, nats per completion token',
    xLabel: 'step',
    series: [
      { label: 'training', color: '#2a78d6', points: curve.map(({ step, trainLoss }) => [step, trainLoss] as const) },
      {
        label: 'held-out posts',
        color: '#b5532a',
        points: curve.map(({ step, heldOutLoss }) => [step, heldOutLoss] as const),
      },
    ],
  });
}

function card({ shape, parameters, curve }: CardOptions, sampled: readonly Sampled[]): string {
  const rows = [
    ['facts (`models/recipe/judges/facts.ts`)', judgeFacts],
    ['tone (`models/recipe/judges/tone.ts`)', judgeTone],
  ] as const;
  const scores = rows.map(([name, judge]) => {
    const all = sampled.map(({ post, texts }) => texts.map((text) => judge(post.text, text)));
    const best = average(all.map((values) => Math.max(...values)));
    const means = all.map(average);
    const mean = average(means);
    const error = Math.sqrt(average(means.map((value) => (value - mean) ** 2)) / Math.max(1, means.length - 1));
    return `| ${name} | ${mean.toFixed(3)} ± ${error.toFixed(3)} | ${best.toFixed(3)} |`;
  });
  const examples = sampled.slice(0, 5).map(
    ({ post, texts }) =>
      `> ${post.text}\n\n${texts
        .slice(0, 2)
        .map((text) => `- ${text} (facts ${judgeFacts(post.text, text).toFixed(2)})`)
        .join('\n')}\n`,
  );
  return `# tldr: the default policy of Hone

A Llama-style decoder of ${(parameters / 1e6).toFixed(1)} million parameters (${shape.layers} layers, ${shape.hiddenSize} wide, ${shape.heads} heads over ${shape.kvHeads} key heads,
vocabulary ${shape.vocabularySize}, context ${shape.contextLength}, float32) that writes a TL;DR of a short post in which somebody asks for advice. It was made
from nothing by \`npm run model:build\` (\`models/recipe/\`): posts, summaries, tokenizer and weights are of this project,
under its licence. It knows no other text: it is there to show and test the loop, not to be asked for advice.

It was trained on summaries of **mixed** quality: each fact of a post may be told, left out, made vague or wrong, each
phrase may be noise, independently. So there is something to learn from scores.

## Training

Held-out loss ${curve.at(-1)?.heldOutLoss.toFixed(3) ?? '-'} nats per token after ${curve.at(-1)?.step ?? 0} steps.

![training curve](training.svg)

## What it scores

Sampled at temperature 1 for ${sampled.length} held-out posts, ${samplesPerPost} completions each; rewards in [0, 1].

| judge | mean of samples | best of ${samplesPerPost} |
|---|---|---|
${scores.join('\n')}

## What it writes

${examples.join('\n')}`;
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
