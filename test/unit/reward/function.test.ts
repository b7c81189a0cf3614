/** Users' reward functions in a process of their own: valid answers, invalid ones, and failures. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type Rating,
  type RewardedCompletion,
  type RewardProcess,
  type RewardProcessOptions,
  startRewardProcess,
} from '../../../src/reward/index.js';
import { checkScores } from '../../../src/reward/process/check-scores.js';
import { temporaryFolder } from '../../support/folders.js';

const folder = temporaryFolder();
/** A range in which all scores of these tests lie, unless a test is about the range. */
const scale = { metric: 'score', lowest: 0, highest: 100 };

let modules = 0;

function writeModule(source: string): string {
  const path = join(folder, `reward-${modules++}.mjs`);
  writeFileSync(path, source);
  return path;
}

interface Started {
  readonly model: RewardProcess;
  readonly module: string;
  /** What was reported, without the name of the module. */
  readonly failures: string[];
}

async function start(source: string, options: Partial<RewardProcessOptions> = {}): Promise<Started> {
  const module = writeModule(source);
  const program = { type: 'function', module } as const;
  const model = await startRewardProcess({ rater: 'function:test', program, scale, restartAfterMs: 1, ...options });
  onTestFinished(() => model.close());
  const failures: string[] = [];
  model.onFailure((problem) => {
    expect(problem).toContain(`the reward function ${module} `);
    failures.push(problem.replace(`the reward function ${module} `, ''));
  });
  return { model, module, failures };
}

function items(...texts: readonly string[]): RewardedCompletion[] {
  const promptJson = JSON.stringify({ messages: [{ role: 'user', content: 'ask' }] });
  return texts.map((text) => ({ promptTokens: [1, 2], promptJson, tokens: [3], text }));
}

/** The scores, with `failed` for a completion on which the function failed. */
async function rate(model: RewardProcess, ...texts: readonly string[]): Promise<(number | null | 'failed')[]> {
  const plain = (rating: Rating) => (rating.is === 'rated' ? rating.score : rating.is);
  return (await model.rate(items(...texts))).map(plain);
}

const scoreUnless = (text: string, instead: string) =>
  `export default (items) => { if (items.some(({ text }) => text === ${JSON.stringify(text)})) ${instead}; return items.map(() => 1); };`;

describe('a reward function in its process', () => {
  it('scores batches in order, from the fields of each completion', async () => {
    const { model, failures } = await start(
      'export default async (items) => items.map((item) => (item.text === "" ? null : item.text.length + item.promptTokens.length));',
      { batch: 2 },
    );
    expect(await rate(model, 'a', '', 'abc', 'ab', 'x')).toEqual([3, null, 5, 4, 3]);
    expect(failures).toEqual([]);
    expect(model.status).toEqual({ state: 'running', restarts: 0, failure: null });
  });

  it('calls a function of two parameters for each completion', async () => {
    const { model } = await start('export default (prompt, completion) => prompt.length * completion.length;');
    expect(await rate(model, 'a', 'abc')).toEqual([3, 9]);
  });

  it('keeps the other scores of a batch if the function throws for one completion', async () => {
    const { model, failures } = await start(scoreUnless('bad', 'throw new Error("no")'));
    expect(await rate(model, 'a', 'bad', 'b')).toEqual([1, 'failed', 1]);
    expect(failures).toEqual(['threw: no', 'threw: no']);
    expect(model.status.state).toBe('running');
  });

  it.each([
    ['NaN', 'NaN'],
    ['text', '"0.5"'],
    ['undefined', 'undefined'],
    ['a list', '[0.5]'],
    ['an object', '{ score: 0.5 }'],
    ['a bigint', '1n'],
    ['a score outside the range', '100.5'],
    ['a score below the range', '-1'],
    ['infinity', 'Infinity'],
  ])(
    'fails on the completion for which it answers %s, and its answer counts for none of the batch',
    async (_, value) => {
      const { model, failures } = await start(
        `let calls = 0;
      export default (items) => { calls += 1; return items.map(({ text }) => (text === "bad" ? ${value} : calls)); };`,
      );
      // Each is asked for alone after the batch, in order.
      expect(await rate(model, 'a', 'bad', 'b')).toEqual([2, 'failed', 4]);
      expect(failures).toHaveLength(2);
      expect(model.status).toMatchObject({ state: 'running', restarts: 0 });
    },
  );

  it.each([
    [
      'one score too few',
      'items.slice(1).map(() => 1)',
      /answered 3 scores for 4 completions; it must answer one for each/,
    ],
    ['one score too many', '[1, ...items.map(() => 1)]', /answered 5 scores for 4 completions/],
    ['undefined', 'undefined', /answered undefined; it must answer a list of 4 scores/],
    ['one number', '0.5', /answered 0.5; it must answer a list/],
    ['an object with the list', '({ scores: items.map(() => 1) })', /answered a value of type object; it must/],
    ['a typed list', 'Float64Array.from(items, () => 1)', /answered a value of type object; it must/],
    ['text', '"secret"', /answered a value of type string; it must/],
    ['a list that was never filled', 'new Array(items.length)', /answered undefined for 1 of 1 completions/],
    ['NaN for all', 'items.map(() => NaN)', /answered NaN for 1 of 1 completions; each score must be a finite number/],
    ['an error', '(() => { throw new Error("no"); })()', /threw: no/],
    ['a rejected promise', 'Promise.reject(new Error("no"))', /threw: no/],
    [
      'an error that cannot be described',
      '(() => { throw Object.create(null); })()',
      /threw: a value that cannot be described/,
    ],
    [
      'a getter that throws',
      'items.map(() => 1).fill({ get length() { throw new Error("no"); } })',
      /answered a value of type object for 1/,
    ],
  ])('is at fault if it answers %s, and nothing counts as rated', async (_, answer, problem) => {
    const { model, module } = await start(
      `let calls = 0;
      export default (items) => { calls += 1; return calls > 20 ? items.map(() => 1) : ${answer}; };`,
    );
    await expect(rate(model, 'a', 'b', 'c', 'd')).rejects.toMatchObject({ message: expect.stringMatching(problem) });
    expect(model.status.state).toBe('failed');
    expect(model.status.failure).toMatch(problem);
    expect(model.status.failure).toContain(`the reward function ${module} `);
    expect(model.status.failure).not.toContain('secret');
  });

  it('runs again after a fault, and in the new process the changed module is loaded', async () => {
    const { model, module } = await start('export default () => undefined;');
    expect(await model.hasChanged()).toBe(false);
    await expect(rate(model, 'a', 'b')).rejects.toThrow('it must answer a list');
    writeFileSync(module, 'export default (items) => items.map(() => 0.5);');
    expect(await model.hasChanged()).toBe(true);
    model.renew();
    expect(await rate(model, 'a', 'b')).toEqual([0.5, 0.5]);
    expect(await model.hasChanged()).toBe(false);
    expect(model.status).toMatchObject({ state: 'running', restarts: 0 });
  });

  it('begins with other completions after a fault, so that a few bad ones do not hold the others up', async () => {
    const { model } = await start(
      'export default (items) => { if (items.some(({ text }) => text.startsWith("bad"))) throw new Error("no"); return items.map(() => 1); };',
    );
    const texts = ['bad', 'bad', 'bad', 'bad', 'a', 'b'];
    await expect(rate(model, ...texts)).rejects.toThrow('threw: no');
    expect(await rate(model, ...texts)).toEqual(['failed', 'failed', 'failed', 'failed', 1, 1]);
    expect(model.status.state).toBe('running');
  });

  it('asks for the first few suspects only if it fails on them again, without being at fault', async () => {
    const { model, failures } = await start('export default () => { throw new Error("no"); };');
    const rated = await model.rate(items('a', 'b', 'c', 'd', 'e'), true);
    expect(rated.map(({ is }) => is)).toEqual(['failed', 'failed', 'failed', 'failed', 'failed']);
    expect(failures).toHaveLength(1 + 3);
    expect(model.status.state).toBe('running');
  });

  it('kills a process that hangs and continues with a new one', async () => {
    const { model, failures } = await start(
      'export default (items) => { while (items.some(({ text }) => text === "hang")); return items.map(() => 1); };',
    );
    // The clock is fake, so that a process of the lowest priority gets as much real time as it needs.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const hanging = expect(rate(model, 'hang')).rejects.toThrow('gave no answer within 30000 ms and was killed');
    await vi.advanceTimersByTimeAsync(30_000);
    await hanging;
    expect(failures).toEqual([
      'gave no answer within 30000 ms and was killed; it must answer faster, or get more time (--reward-timeout-ms)',
    ]);
    const next = rate(model, 'b');
    await vi.advanceTimersByTimeAsync(1);
    expect(await next).toEqual([1]);
    expect(model.status).toMatchObject({ state: 'running', restarts: 1 });
  });

  it('kills a process whose promise never settles', async () => {
    const { model } = await start('export default () => new Promise(() => setInterval(() => {}, 1000));', {
      timeoutMs: 100,
    });
    await expect(rate(model, 'a')).rejects.toThrow('gave no answer within 100 ms');
  });

  it('restarts the process of a function that ends it, and reports the exit code', async () => {
    const { model, failures } = await start(scoreUnless('die', 'process.exit(7)'));
    expect(await rate(model, 'die', 'b')).toEqual(['failed', 1]);
    const ended = 'ended its process (exit code 7); it must neither end its process nor leave an error uncaught';
    expect(failures).toEqual([ended, ended]);
    expect(model.status.restarts).toBe(2);
  });

  it('reports the signal of which its process died', async () => {
    const { model, failures } = await start(scoreUnless('die', 'process.kill(process.pid, "SIGKILL")'));
    expect(await rate(model, 'b', 'die')).toEqual([1, 'failed']);
    expect(failures[0]).toContain('was ended by the signal SIGKILL, as the system does when memory runs out');
  });

  it('reports a process that ends while it has nothing to do, and starts another one', async () => {
    const { model, failures } = await start(
      'export default (items) => { setTimeout(() => { throw new Error("afterwards"); }, 50); return items.map(() => 1); };',
    );
    const reported = new Promise((resolve) => model.onFailure(resolve));
    expect(await rate(model, 'a')).toEqual([1]);
    await reported;
    expect(failures).toEqual(['ended its process (exit code 1) while it had nothing to do']);
    expect(model.status.state).toBe('crashed');
    expect(await rate(model, 'a')).toEqual([1]);
  });

  it('may write megabytes, send messages of its own and install handlers', async () => {
    const { model, failures } = await start(
      `process.on('uncaughtException', () => {});
      export default (items) => {
        console.log('x'.repeat(4e6));
        console.error('x'.repeat(4e6));
        process.send('nonsense');
        process.send({ type: 'answered', id: -1 });
        return items.map(() => 1);
      };`,
    );
    expect(await rate(model, 'a', 'b')).toEqual([1, 1]);
    expect(await rate(model, 'c')).toEqual([1]);
    expect(failures).toEqual([]);
  });

  it('cuts the message of an error', async () => {
    const { model, failures } = await start(scoreUnless('bad', 'throw new Error("x".repeat(1e6))'));
    await rate(model, 'a', 'bad');
    expect(failures[0]?.length).toBeLessThan(600);
  });

  it('may answer numbers within the range of the metric and null only', () => {
    const stars = { metric: 'stars', lowest: 1, highest: 5 };
    const check = (answer: unknown) => checkScores(answer, 2, stars);
    expect(check([1, null])).toEqual({ is: 'valid', scores: [1, null] });
    expect(check([1, 5])).toEqual({ is: 'valid', scores: [1, 5] });
    expect(check([Number.NaN, 2])).toEqual({
      is: 'invalid',
      problem: 'answered NaN for 1 of 2 completions; each score must be a finite number, or null for none',
    });
    expect(check([0.5, 2])).toEqual({
      is: 'invalid',
      problem: expect.stringContaining(
        'answered 0.5: each score must be from 1 to 5, the range of the metric "stars", got 0.5; to set another range',
      ),
    });
    expect(check(['secret', 1])).toEqual({ is: 'invalid', problem: expect.not.stringContaining('secret') });
    expect(check([1])).toMatchObject({ is: 'misshapen' });
  });

  it.each([
    [
      'exports no function',
      'export const score = 1;',
      'INVALID_OPTIONS',
      /has no default export; export default a function/,
    ],
    ['exports a number', 'export default 1;', 'INVALID_OPTIONS', /has a default export that is a number/],
    ['does not parse', 'export default (', 'INVALID_OPTIONS', /cannot be imported: /],
    ['throws when it is imported', 'throw new Error("no")', 'INVALID_OPTIONS', /cannot be imported: no; correct it/],
    [
      'ends its process when it is imported',
      'process.exit(0);',
      'WORKER_CRASHED',
      /reward-\d+\.mjs ended its process \(exit code 0\) while it was loaded; correct it, or start without it/,
    ],
  ])('is refused, with its file, if its module %s', async (_, source, code, message) => {
    await expect(start(source)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('is refused, with its file, if its module loads too slowly', async () => {
    const slow = 'await new Promise(() => setInterval(() => {}, 1000));';
    await expect(start(slow, { startTimeoutMs: 200 })).rejects.toMatchObject({
      code: 'WORKER_CRASHED',
      message: expect.stringMatching(/reward-\d+\.mjs gave no answer within 200 ms and was killed while it was loaded/),
    });
  });

  it('ends at close, which refuses the batch in flight', async () => {
    const { model } = await start('export default () => new Promise(() => setInterval(() => {}, 1000));');
    const refused = expect(rate(model, 'a')).rejects.toMatchObject({ code: 'CANCELLED' });
    await model.close();
    await refused;
    await model.close();
    expect(model.status.state).toBe('off');
  });
});
