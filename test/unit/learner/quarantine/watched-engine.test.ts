import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { RecordsAtFault } from '../../../../src/learner/quarantine/records-at-fault.js';
import { Suspicion } from '../../../../src/learner/quarantine/suspicion.js';
import { WatchedEngine } from '../../../../src/learner/quarantine/watched-engine.js';
import type { Parameters, TrainingEngine, TrainingRow } from '../../../../src/learner/types.js';
import { temporaryFolder } from '../../../support/folders.js';

const none: Parameters = new Map();
const row = (token: number): TrainingRow => ({ promptTokens: [5], completionTokens: [token] });

/** Watches an engine whose passes fail if `fails` says so; it records the completions of each pass. */
function watched(fails: (tokens: readonly number[], pass: number) => boolean) {
  const suspicion = new Suspicion(join(temporaryFolder(), 'pass.json'));
  suspicion.open();
  onTestFinished(() => suspicion.close());
  const passes: number[][] = [];
  const run = (tokens: number[]): void => {
    passes.push(tokens);
    if (fails(tokens, passes.length)) throw new RangeError('out of bounds');
  };
  const engine: TrainingEngine = {
    name: 'scripted',
    targets: [],
    async logProbabilities(rows) {
      const tokens = rows.map(({ completionTokens }) => completionTokens[0] as number);
      run(tokens);
      return Float32Array.from(tokens, (token) => -token);
    },
    async differentiate(rows, { constants }) {
      const tokens = rows.map(({ completionTokens }) => completionTokens[0] as number);
      run(tokens);
      const gradient = tokens.reduce((sum, token, i) => sum + token * (constants[i] as number), 0);
      return { logprobs: Float32Array.from(tokens, (t) => -t), gradients: new Map([['w', Float32Array.of(gradient)]]) };
    },
    async promptFeatures(prompts) {
      run(prompts.map((prompt) => prompt[0] as number));
      return prompts.map((prompt) => Float32Array.of(prompt[0] as number));
    },
    close: async () => undefined,
  };
  return { engine: new WatchedEngine(engine, suspicion), passes };
}

async function faultsOf(work: Promise<unknown>): Promise<RecordsAtFault> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(RecordsAtFault);
  return thrown as RecordsAtFault;
}

test('a pass that works runs once, whole', async () => {
  const { engine, passes } = watched(() => false);
  expect(await engine.logProbabilities([row(1), row(2)], none)).toEqual(Float32Array.of(-1, -2));
  expect(passes).toEqual([[1, 2]]);
});

test('the rows at fault are those that throw twice while they are alone', async () => {
  const { engine, passes } = watched((tokens) => tokens.includes(2) || tokens.includes(4));
  const fault = await faultsOf(engine.logProbabilities([row(1), row(2), row(3), row(4)], none));
  expect([1, 2, 3, 4].map((token) => fault.reasonFor(row(token)) !== undefined)).toEqual([false, true, false, true]);
  expect(fault.reasonFor(row(2))).toMatch(/out of bounds/);
  expect(passes.filter((tokens) => tokens.join() === '2')).toHaveLength(2);
  // Without them the engine is trusted again.
  passes.length = 0;
  await engine.logProbabilities([row(1), row(3)], none);
  expect(passes).toEqual([[1, 3]]);
});

test('a pass that throws once is repeated whole, after each of its rows was alone, and nobody is at fault', async () => {
  const { engine, passes } = watched((_, pass) => pass === 1);
  expect(await engine.logProbabilities([row(1), row(2)], none)).toEqual(Float32Array.of(-1, -2));
  expect(passes).toEqual([[1, 2], [0], [1], [2], [1, 2]]);
});

test('a row that throws once while it is alone is tried again after the others, and is not at fault', async () => {
  const { engine, passes } = watched((_, pass) => pass === 1 || pass === 3);
  expect(await engine.logProbabilities([row(1), row(2)], none)).toEqual(Float32Array.of(-1, -2));
  expect(passes).toEqual([[1, 2], [0], [1], [0], [2], [1], [1, 2]]);
});

test('a pass that only throws when it is whole runs row by row, with the same gradient', async () => {
  const { engine, passes } = watched((tokens) => tokens.length > 2);
  const form = { constants: Float32Array.of(1, 10, 100) };
  const { logprobs, gradients } = await engine.differentiate([row(1), row(2), row(3)], form, none);
  expect(logprobs).toEqual(Float32Array.of(-1, -2, -3));
  expect(gradients.get('w')).toEqual(Float32Array.of(321));
  expect(passes.filter((tokens) => tokens.length > 1)).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
});

test('an engine that fails over two tokens is at fault itself, and no row is', async () => {
  const { engine } = watched(() => true);
  await expect(engine.logProbabilities([row(1), row(2)], none)).rejects.toThrow(RangeError);
});

test('a row after which the engine fails over two tokens ends the process instead of accusing the rows after it', async () => {
  let isBroken = false;
  const { engine, passes } = watched((tokens) => {
    isBroken ||= tokens.includes(2);
    return isBroken;
  });
  isBroken = false;
  const work = engine.logProbabilities([row(1), row(2), row(3)], none);
  await expect(work).rejects.toThrow(RangeError);
  expect(passes.flat()).not.toContain(4);
});

test('a prompt at fault is at fault in each of its completions', async () => {
  const { engine } = watched((prompts) => prompts.includes(7));
  const fault = await faultsOf(engine.promptFeatures([[5], [7]], none));
  expect(fault.reasonFor({ promptTokens: [7], completionTokens: [1] })).toMatch(/out of bounds/);
  expect(fault.reasonFor({ promptTokens: [5], completionTokens: [7] })).toBeUndefined();
});
