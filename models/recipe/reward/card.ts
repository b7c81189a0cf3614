/** Writes the card of the reward model: its training data, its agreement with the judge, and rewards of some completions. */

import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openRewardModel } from '../../../src/reward/index.js';
import { plot } from '../plot.js';
import { type Agreement, measureAgreement } from './measures.js';
import { judge } from './preferences.js';
import type { SampledPost } from './samples.js';

/** One point of the training curve. */
export interface RewardCurvePoint {
  readonly step: number;
  /** Mean loss over the steps since the last point, in nats per pair. */
  readonly trainLoss: number;
  /** Share of held-out pairs in which the model prefers the same completion as the judge. */
  readonly heldOutAccuracy: number;
}

interface RewardCardOptions {
  readonly parameters: number;
  /** What it was trained on. */
  readonly posts: number;
  readonly completionsPerPost: number;
  readonly pairs: number;
  readonly curve: readonly RewardCurvePoint[];
  /** By the weights in training. */
  readonly agreement: Agreement;
  readonly heldOut: readonly SampledPost[];
  readonly threads: number;
}

/** Rates the held-out completions with the finished package, and writes `README.md` and `training.svg` into its folder. */
export async function writeRewardCard(directory: string, options: RewardCardOptions): Promise<void> {
  const { heldOut, curve } = options;
  await using model = await openRewardModel(directory, { threads: options.threads });
  const rated: { post: SampledPost; scores: number[]; rewards: number[] }[] = [];
  for (const post of heldOut) {
    const promptJson = JSON.stringify({ messages: [{ role: 'user', content: post.post }] });
    const items = post.texts.map((text) => ({ promptTokens: [], promptJson, tokens: [], text }));
    const rewards = (await model.logits(items)).map((logit) => logit ?? Number.NaN);
    rated.push({ post, rewards, scores: post.texts.map((text) => judge(post.post, text)) });
  }
  await writeFile(join(directory, 'training.svg'), curvePlot(curve));
  const { size } = await stat(join(directory, 'onnx', 'model.onnx'));
  await writeFile(join(directory, 'README.md'), card(options, measureAgreement(rated), size, rated.slice(0, 4)));
}

function curvePlot(curve: readonly RewardCurvePoint[]): string {
  return plot({
    title: 'Held-out pairs right, and training loss in nats per pair',
    xLabel: 'step',
    series: [
      {
        label: 'pairs right',
        color: '#b5532a',
        points: curve.map(({ step, heldOutAccuracy }) => [step, heldOutAccuracy] as const),
      },
      { label: 'loss', color: '#2a78d6', points: curve.map(({ step, trainLoss }) => [step, trainLoss] as const) },
    ],
  });
}

function card(
  { parameters, posts, completionsPerPost, pairs, curve }: RewardCardOptions,
  agreement: Agreement,
  bytes: number,
  examples: readonly {
    readonly post: SampledPost;
    readonly scores: readonly number[];
    readonly rewards: readonly number[];
  }[],
): string {
  const { pairAccuracy, clearAccuracy, rankCorrelation, mean, deviation } = agreement;
  const texts = examples.map(
    ({ post, scores, rewards }) =>
      `> ${post.post}\n\n${post.texts
        .map((text, i) => `- ${text} (reward ${rewards[i]?.toFixed(2)}, judge ${scores[i]?.toFixed(2)})`)
        .join('\n')}\n`,
  );
  return `# tldr-reward: a reward model for the default policy

The decoder of \`models/tldr\` (${(parameters / 1e6).toFixed(1)} million parameters, float32, ${(bytes / 2 ** 20).toFixed(1)} MiB) with a scalar head on the last token, as
\`LlamaForSequenceClassification\` computes it: \`onnx/model.onnx\` reads a post and its summary under the chat template and gives
one logit, which is larger for the better summary. It was made by \`npm run model:build:reward\` (\`models/recipe/reward/\`).
It knows the posts of this project's world and nothing else.

\`\`\`sh
npm run hone -- serve --reward-model models/tldr-reward
\`\`\`

## What it learned from

${pairs.toLocaleString('en')} preferences between completions that the supervised policy wrote for ${posts.toLocaleString('en')} training posts (${completionsPerPost} each,
temperature 1, all pairs). Who answered is noisy: y is preferred to y' with probability sigmoid(8 (judge(y) - judge(y'))),
with the mean of \`judges/facts.ts\` and \`judges/tone.ts\` as judge. The mean, because tone alone is greatest for one courteous text
whatever the post says, so that a policy could forget the post, and facts hold each text to its post; tone is what a policy
learns soon, facts what it learns slowly. Bradley-Terry on all weights, AdamW, ${curve.at(-1)?.step ?? 0} steps.

![training curve](training.svg)

## How far it agrees with the judge

On completions of held-out posts, whose combinations of facts no training post has (${agreement.pairs.toLocaleString('en')} pairs that the judge tells apart):

| | |
|---|---|
| pairs in which it prefers what the judge prefers | ${percent(pairAccuracy)} |
| the same, where the judge's scores differ by 0.2 or more | ${percent(clearAccuracy)} |
| rank correlation with the judge's score, all completions | ${rankCorrelation.toFixed(3)} |
| its logits | mean ${mean.toFixed(2)}, standard deviation ${deviation.toFixed(2)} |

It has seen what the supervised policy writes and nothing better: far from that, what it says is a guess. Bound the KL of a
policy that is trained on it, and look at what the policy writes.

## What it says

${texts.join('\n')}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
