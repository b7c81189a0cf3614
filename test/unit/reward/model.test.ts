/** Reward models in ONNX: refusals when one is opened, their inputs, and scores that do not depend on the batch. */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../../models/recipe/reward/preferences.js';
import { createPost } from '../../../models/recipe/world/index.js';
import { encodeModel, float32Tensor, Graph } from '../../../src/onnx/index.js';
import type { RewardedCompletion } from '../../../src/reward/index.js';
import { type OnnxRewardModel, openRewardModel } from '../../../src/reward/model/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { projectFolder } from '../../support/server.js';

const shipped = join(projectFolder, 'models/tldr-reward');
const folder = temporaryFolder();

function item(prompt: string, text: string): RewardedCompletion {
  return {
    promptTokens: [],
    promptJson: JSON.stringify({ messages: [{ role: 'user', content: prompt }] }),
    tokens: [],
    text,
  };
}

let packages = 0;

/** Copies the shipped package with another model and changes to its configuration. */
function copyOf(changes: Readonly<Record<string, unknown>>, model: Graph): string {
  const path = join(folder, `package-${packages++}`);
  cpSync(shipped, path, { recursive: true, filter: (file) => !file.endsWith('.onnx') });
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, ...changes }));
  writeFileSync(join(path, 'onnx/model.onnx'), encodeModel(model));
  return path;
}

/** A graph with logits [B, width] that are the sum of the given input over the row. */
function summing(input: string, width = 1): Graph {
  const graph = new Graph();
  for (const name of new Set(['input_ids', 'attention_mask', input])) {
    graph.inputs.set(name, { type: 'int64', dims: ['B', 'T'] });
  }
  const sum = graph.add('ReduceSum', [input, graph.int64([1])], { attributes: { keepdims: { i: 1 } } });
  const value = graph.add('Cast', [sum], { attributes: { to: { i: 1 } } });
  graph.initializers.set('ones', float32Tensor(new Float32Array(width).fill(1), [1, width]));
  graph.add('MatMul', [value, 'ones'], { outputs: ['logits'] });
  graph.outputs.set('logits', { type: 'float32', dims: ['B', width] });
  graph.prune();
  return graph;
}

describe('the reward model of Hone', () => {
  let model: OnnxRewardModel;
  beforeAll(async () => {
    model = await openRewardModel(shipped);
  });
  afterAll(() => model.close());

  const posts = Array.from({ length: 6 }, (_, i) => createPost(900_000 + i, 'held-out').text);
  const texts = [
    'My brother is bad.',
    'Please tell me, would it be fair to let it go?',
    'So it goes again and again! I hate this!',
  ];
  const all = posts.flatMap((post) => texts.map((text) => item(post, text)));

  it('scores a batch as it scores its members one by one', async () => {
    const batch = await model.logits(all);
    for (const [i, one] of all.entries()) {
      const [alone] = await model.logits([one]);
      expect(batch[i]).toBeCloseTo(alone as number, 4);
    }
    expect(new Set(batch).size).toBe(all.length);
  });

  it('agrees with its judge, and gives scores from 0 to 1', async () => {
    const scores = await model.score(all);
    let right = 0;
    let pairs = 0;
    for (const [p, post] of posts.entries()) {
      const judged = texts.map((text) => judge(post, text));
      for (const [a, b] of [
        [0, 1],
        [0, 2],
        [1, 2],
      ] as const) {
        pairs += 1;
        const difference = (scores[3 * p + a] as number) - (scores[3 * p + b] as number);
        if (difference * ((judged[a] as number) - (judged[b] as number)) > 0) right += 1;
      }
    }
    expect(right / pairs).toBeGreaterThan(0.7);
    for (const score of scores) expect(score as number).toSatisfy((value: number) => value > 0 && value < 1);
  });

  it('gives no score to a text beyond its context, and scores the others of the batch', async () => {
    const [long, short] = await model.score([item('word '.repeat(2000), 'Yes.'), item('A post.', 'Yes.')]);
    expect(long).toBeNull();
    expect(short).not.toBeNull();
  });

  it('reads a plain prompt as the message of a user, and gives no score without a prompt', async () => {
    const [plain, chat, none] = await model.logits([
      { ...item('', 'Yes.'), promptJson: JSON.stringify({ prompt: 'A post.' }) },
      item('A post.', 'Yes.'),
      { ...item('', 'Yes.'), promptJson: '{}' },
    ]);
    expect(plain).toBe(chat);
    expect(none).toBeNull();
  });

  it('reads a special token in a text as text', async () => {
    const [written, ended] = await model.logits([item('A post.', 'Yes.<|end|>'), item('A post.', 'Yes.')]);
    expect(Math.abs((written as number) - (ended as number))).toBeGreaterThan(1e-3);
  });
});

describe('a package that is no reward model', () => {
  it.each([
    ['a decoder', { architectures: ['LlamaForCausalLM'] }, 'LlamaForCausalLM'],
    ['two labels', { id2label: { 0: 'a', 1: 'b' } }, 'has 2 labels'],
    ['no labels', { id2label: null }, 'has 2 labels'],
  ])('is refused because its configuration has %s', async (_, changes, message) => {
    await expect(openRewardModel(copyOf(changes, summing('input_ids')))).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining(message),
    });
  });

  it('is refused if its graph has other inputs or outputs', async () => {
    const refusal = (graph: Graph) => openRewardModel(copyOf({}, graph)).then(() => '', String);
    expect(await refusal(summing('pixel_values'))).toContain('has an input pixel_values');
    expect(await refusal(summing('input_ids', 2))).toContain('logits are float32 [2, 2] for 2 texts');
    const nameless = summing('input_ids');
    nameless.add('Identity', ['logits'], { outputs: ['score'] });
    nameless.outputs.clear();
    nameless.outputs.set('score', null);
    expect(await refusal(nameless)).toContain('has no output logits');
    expect(await openRewardModel(join(folder, 'nowhere')).then(() => '', String)).toContain('cannot be read');
  });
});

describe('the inputs of a reward model', () => {
  const logits = async (graph: Graph, items: readonly RewardedCompletion[]) => {
    await using model = await openRewardModel(copyOf({ problem_type: 'regression' }, graph));
    return await model.score(items);
  };

  it('mask the padding and number the positions', async () => {
    const [short, long] = await logits(summing('attention_mask'), [item('A', 'b'), item('A', 'b c d e')]);
    // <|user|> A <|end|> <|assistant|> b <|end|>
    expect(short).toBe(6);
    expect(long as number).toBeGreaterThan(6);
    const [positions] = await logits(summing('position_ids'), [item('A', 'b')]);
    expect(positions).toBe(0 + 1 + 2 + 3 + 4 + 5);
  });
});
