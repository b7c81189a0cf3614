/** Users' reward functions in a process of their own: valid answers, invalid ones, and failures. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type RewardedCompletion,
  type RewardProcess,
  type RewardProcessOptions,
  startRewardProcess,
} from '../../../src/reward/index.js';
import { checkScores } from '../../../src/reward/process/check-scores.js';
import { temporaryFolder } from '../../support/folders.js';

const folder = temporaryFolder();

let modules = 0;

function writeModule(source: string): string {
  const path = join(folder, `reward-${modules++}.mjs`);
  writeFileSync(path, source);
  return path;
}

async function start(source: string, options: Partial<RewardProcessOptions> = {}): Promise<[RewardProcess, string[]]> {
  const program = { type: 'function', module: writeModule(source) } as const;
  const model = await startRewardProcess({ rater: 'function:test', program, restartAfterMs: 1, ...options });
  const failures: string[] = [];
  model.onFailure((problem) => failures.push(problem));
  return [model, failures];
}

function items(...texts: readonly string[]): RewardedCompletion[] {
  const promptJson = JSON.stringify({ messages: [{ role: 'user', content: 'ask' }] });
  return texts.map((text) => ({ promptTokens: [1, 2], promptJson, tokens: [3], text }));
}

describe('a reward function in its process', () => {
  it('scores batches in order, from the fields of each completion', async () => {
    const [model, failures] = await start(
      'export default async (items) => items.map((item) => (item.text === "" ? null : item.text.length + item.promptTokens.length));',
      { batch: 2 },
    );
    expect(await model.score(items('a', '', 'abc', 'ab', 'x'))).toEqual([3, null, 5, 4, 3]);
    expect(failures).toEqual([]);
    expect(model.status).toEqual({ state: 'running', restarts: 0, failure: null });
    await model.close();
  });

  it('calls a function of two parameters for each completion', async () => {
    const [model] = await start('export default (prompt, completion) => prompt.length * completion.length;');
    expect(await model.score(items('a', 'abc'))).toEqual([3, 9]);
    await model.close();
  });

  it('keeps the other scores of a batch if the function throws for one completion', async () => {
    const [model, failures] = await start(
      'export default (items) => items.map(({ text }) => { if (text === "bad") throw new Error("no"); return 1; });',
    );
    expect(await model.score(items('a', 'bad', 'b'))).toEqual([1, null, 1]);
    expect(failures).toEqual(['threw: no', 'threw: no']);
    await model.close();
  });

  it('kills a process that hangs and continues with a new one', async () => {
    const [model, failures] = await start(
      'export default (items) => { while (items.some(({ text }) => text === "hang")); return items.map(() => 1); };',
    );
    // The clock is fake, so that a process of the lowest priority gets as much real time as it needs.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const hanging = model.score(items('hang'));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await hanging).toEqual([null]);
    expect(failures).toEqual(['gave no answer within 30000 ms and was killed']);
    const next = model.score(items('b'));
    await vi.advanceTimersByTimeAsync(1);
    expect(await next).toEqual([1]);
    expect(model.status).toMatchObject({ state: 'running', restarts: 1 });
    await model.close();
  });

  it('kills a process whose promise never settles', async () => {
    const [model, failures] = await start('export default () => new Promise(() => setInterval(() => {}, 1000));', {
      timeoutMs: 100,
    });
    expect(await model.score(items('a'))).toEqual([null]);
    expect(failures[0]).toContain('gave no answer within 100 ms');
    await model.close();
  });

  it('restarts the process of a function that ends it, and reports the exit code', async () => {
    const [model, failures] = await start(
      'export default (items) => { if (items.some(({ text }) => text === "die")) process.exit(7); return items.map(() => 1); };',
    );
    expect(await model.score(items('die', 'b'))).toEqual([null, 1]);
    expect(failures).toEqual(['ended (exit code 7)', 'ended (exit code 7)']);
    expect(model.status.restarts).toBe(2);
    await model.close();
  });

  it('may answer finite numbers and null only', () => {
    const bad = (answer: unknown) => checkScores(answer, 2);
    expect(bad([1, null])).toEqual({ scores: [1, null], problem: undefined });
    expect(bad([Number.NaN, 0.5])).toEqual({
      scores: [null, 0.5],
      problem: 'answered NaN for 1 of 2 completions; each score must be a finite number or null',
    });
    expect(bad([Number.POSITIVE_INFINITY, 'secret'])).toMatchObject({ scores: [null, null] });
    expect(bad(['secret', 1]).problem).not.toContain('secret');
    expect(bad([1])).toEqual({ scores: [null, null], problem: 'answered 1 scores for 2 completions' });
    expect(bad(undefined).problem).toBe('answered undefined; it must answer a list of 2 scores');
  });

  it('is refused if its module exports no function, does not load or loads too slowly', async () => {
    await expect(start('export const score = 1;')).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('has no default export; export default a function'),
    });
    await expect(start('export default (')).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('cannot be imported'),
    });
    await expect(
      start('await new Promise(() => setInterval(() => {}, 1000));', { startTimeoutMs: 200 }),
    ).rejects.toMatchObject({ code: 'WORKER_CRASHED', message: 'gave no answer within 200 ms and was killed' });
  });

  it('ends at close, which refuses the batch in flight', async () => {
    const [model] = await start('export default () => new Promise(() => setInterval(() => {}, 1000));');
    const asked = model.score(items('a'));
    const refused = expect(asked).rejects.toMatchObject({ code: 'CANCELLED' });
    await model.close();
    await refused;
    await model.close();
    expect(model.status.state).toBe('off');
  });
});
