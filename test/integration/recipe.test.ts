/** The recipe from end to end at toy size, and the package that it made at full size. */

import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createEncoder, encodePrompt } from '../../models/recipe/data.js';
import judgeFacts from '../../models/recipe/judges/facts.js';
import judgeTone from '../../models/recipe/judges/tone.js';
import { createPost } from '../../models/recipe/world/index.js';
import { loadPackage } from '../../src/package/index.js';
import { openRewardModel } from '../../src/reward/index.js';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const defaultPolicy = join(root, 'models/tldr');
const recipe = fileURLToPath(new URL('../../models/recipe/build.js', import.meta.url));
const rewardRecipe = fileURLToPath(new URL('../../models/recipe/reward/build.js', import.meta.url));

function build(out: string): ChildProcess {
  return startProcess(process.execPath, [recipe, '--smoke', '--out', out], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve));
}

describe('npm run model:build -- --smoke', () => {
  it('makes a package that loads, with a card and a curve', async () => {
    const out = join(temporaryFolder(), 'model');
    expect(await ended(build(out))).toBe(0);
    expect((await loadPackage(out)).config).toMatchObject({ layers: 1, vocabularySize: 1024 });
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toMatch(/Held-out loss \d/);
    expect(readFileSync(join(out, 'training.svg'), 'utf8')).toContain('<polyline');
    expect(existsSync(`${out}.building`)).toBe(false);
  });

  it('continues from its checkpoint after an interruption, and makes the same weights', async () => {
    const folder = temporaryFolder();
    const [whole, halves] = [join(folder, 'whole'), join(folder, 'halves')];
    expect(await ended(build(whole))).toBe(0);
    const first = build(halves);
    const gone = ended(first);
    await until(() => existsSync(join(`${halves}.building`, 'checkpoint.safetensors')), 'there is a checkpoint');
    first.kill('SIGKILL');
    await gone;
    const second = build(halves);
    const [code, remarks] = await Promise.all([ended(second), text(second.stderr as Readable)]);
    expect(code).toBe(0);
    expect(remarks).toMatch(/continuing from step (4|8|12) of 12/);
    const model = (path: string): Buffer => readFileSync(join(path, 'onnx/model.onnx'));
    expect(model(halves).equals(model(whole))).toBe(true);
  });
});

describe('npm run model:build:reward -- --smoke', () => {
  it('makes a reward model that loads, with a card and a curve', async () => {
    const out = join(temporaryFolder(), 'model');
    const child = startProcess(process.execPath, [rewardRecipe, '--smoke', '--out', out], { stdio: 'ignore' });
    expect(await ended(child)).toBe(0);
    await using model = await openRewardModel(out);
    expect(model.rater).toBe('model:model');
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toMatch(/prefers what the judge prefers \| \d/);
    expect(readFileSync(join(out, 'training.svg'), 'utf8')).toContain('<polyline');
    expect(existsSync(`${out}.building`)).toBe(false);
  });
});

describe('the default policy', () => {
  it('is small enough to ship', () => {
    const bytes = readdirSync(defaultPolicy, { recursive: true, encoding: 'utf8' })
      .map((name) => statSync(join(defaultPolicy, name)))
      .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
    expect(bytes).toBeLessThanOrEqual(12e6);
  });

  it('encodes a post to the same tokens as in training', async () => {
    const { tokenizer } = await loadPackage(defaultPolicy);
    const json = (name: string) => JSON.parse(readFileSync(join(defaultPolicy, name), 'utf8'));
    const encode = createEncoder({
      'tokenizer.json': json('tokenizer.json'),
      'tokenizer_config.json': json('tokenizer_config.json'),
      'special_tokens_map.json': json('special_tokens_map.json'),
    });
    const post = createPost(7, 'held-out').text;
    expect(tokenizer.encodeChat([{ role: 'user', content: post }])).toEqual(encodePrompt(encode, post));
  });

  it('writes summaries that are neither bad nor good for both judges, so that there is something to learn', async () => {
    await using server = await startServer({ args: ['--package', defaultPolicy, '--learner', 'off'] });
    const client = await server.connect();
    const facts: number[] = [];
    const tone: number[] = [];
    await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const post = createPost(800_000 + i, 'held-out').text;
        const messages = [{ role: 'user', content: post } as const];
        for (const completion of (await client.generate({ messages, n: 4, seed: i })).completions) {
          facts.push(judgeFacts(post, completion.text));
          tone.push(judgeTone(post, completion.text));
        }
      }),
    );
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(facts)).toBeGreaterThan(0.35);
    expect(mean(facts)).toBeLessThan(0.65);
    expect(mean(tone)).toBeGreaterThan(0.2);
    expect(mean(tone)).toBeLessThan(0.65);
  });
});
