/**
 * Serves one package of a kit and learns on it, in a process of its own: a package that ends the process is a result, and
 * memory is given back. It answers the tasks of `kit-messages.ts`; what fails is answered with
 * `{type: 'failed', message}`, with the error's code first.
 */

import { totalmem } from 'node:os';
import { HoneError } from '../../src/errors.js';
import {
  AdamW,
  type CopgBatch,
  checkLearnerSettings,
  differentiateCopg,
  initialParameters,
  openEngine,
  toAdapter,
  warmUp,
} from '../../src/learner/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../../src/package/index.js';
import { openPolicy, type Policy } from '../../src/policy/index.js';
import { preparePackage } from '../../src/preparation/index.js';
import { provePackage } from '../../src/proof/index.js';
import { digestAdapter, zeroAdapter } from '../../src/versions/index.js';
import type { KitTask, LearnReply, LearnTask, Likely, ServeReply, ServeTask } from './kit-messages.js';
import { greedySampling } from './policy.js';

const rank = 4;
const scale = 2;
const completionLength = 8;
const kvMemoryBytes = 256 * 1024 * 1024;

let opened: { readonly pkg: Package; readonly policy: Policy } | undefined;

async function serve({ directory, cacheDirectory, prompt, expected }: ServeTask): Promise<ServeReply> {
  const started = performance.now();
  const prepared = await preparePackage(directory, { cacheDirectory, memoryBytes: totalmem() });
  const pkg = await loadPackage(prepared.directory);
  const proof = await provePackage({
    packageDirectory: pkg.directory,
    packageDigest: pkg.digest,
    modelFile: prepared.judge,
    settings: checkLearnerSettings({ rank, scale, threads: 1 }),
    threads: 1,
    cacheDirectory,
    signal: new AbortController().signal,
  });
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), rank, scale);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  const policy = await openPolicy({ pkg, version, threads: 1, kvMemoryBytes });
  opened = { pkg, policy };
  const loadSeconds = (performance.now() - started) / 1000;
  const { tokens: greedy } = await complete(policy, prompt, expected.length);
  const { logprobs, likeliest } = await complete(policy, prompt, expected.length, expected);
  const arithmetic = proof.outcome === 'unjudged' ? 0 : (proof.numbers?.difference ?? 0);
  return { loadSeconds, arithmetic, greedy, logprobs, likeliest };
}

async function complete(
  policy: Policy,
  promptTokens: readonly number[],
  length: number,
  forced?: readonly number[],
): Promise<{ tokens: number[]; logprobs: number[]; likeliest: Likely[] }> {
  const answer = { tokens: [] as number[], logprobs: [] as number[], likeliest: [] as Likely[] };
  const events = policy.complete({
    promptTokens,
    completions: [{ id: 'kit', seed: 1, ...(forced === undefined ? {} : { forced }) }],
    sampling: { ...greedySampling(length), topLogprobs: 1 },
  });
  for await (const event of events) {
    if (event.type !== 'tokens') continue;
    answer.tokens.push(...event.tokens);
    answer.logprobs.push(...event.logprobs);
    answer.likeliest.push(...(event.topLogprobs ?? []).flatMap((alternatives) => alternatives.slice(0, 1)));
  }
  return answer;
}

/** Four completions of one prompt, of which every second is rewarded. */
function batchOf(promptTokens: readonly number[], vocabularySize: number): CopgBatch {
  const token = (i: number): number => (i * 7919 + 13) % Math.min(vocabularySize, 256);
  const rows = [0, 1, 2, 3].map((row) => ({
    promptTokens,
    completionTokens: Array.from({ length: completionLength }, (_, i) => token(100 * row + i)),
  }));
  return {
    rows,
    groups: rows.map(() => 0),
    rewards: [1, 0, 1, 0],
    values: rows.map(() => 0.5),
    referenceLogprobs: rows.map(() => -completionLength * Math.log(vocabularySize)),
    beta: 0.05,
  };
}

/** Takes steps until the probe proves that another version answers. */
async function learn({ prompt, maxSteps }: LearnTask): Promise<LearnReply> {
  if (opened === undefined) throw new Error('a package learns only after it has served');
  const { pkg, policy } = opened;
  const settings = checkLearnerSettings({ rank, scale, threads: 1 });
  const engine = await openEngine({ packageDirectory: pkg.directory, settings });
  const batch = batchOf(prompt, pkg.config.vocabularySize);
  const parameters = initialParameters(engine.targets, rank, 1);
  const optimizer = new AdamW({ learningRate: warmUp(1e-2, 1), beta1: 0.9, beta2: 0.99, clipNorm: 1 });
  for (let steps = 1; steps <= maxSteps; steps++) {
    const { gradients } = await differentiateCopg(engine, batch, parameters);
    const silent = [...gradients].filter(([, values]) => values.every((value) => value === 0));
    // The gradient of A is zero until B has moved; after that a matrix without one is a layer that does not learn.
    const stuck = silent.filter(([name]) => name.endsWith('.lora_B') || steps > 1).map(([name]) => name);
    if (stuck.length > 0) throw new Error(`step ${steps} has no gradient for ${stuck.slice(0, 3).join(', ')}`);
    if (!optimizer.step(parameters, gradients).applied) throw new Error('a gradient is not finite');
    const adapter = toAdapter(parameters, rank, scale);
    const { probe } = await policy.swap({ number: steps, adapterDigest: digestAdapter(adapter), adapter });
    if (probe.verdict === 'failed') throw new Error(`the probe of the version of step ${steps} failed`);
    if (probe.verdict === 'proved' && steps > 1) return { steps };
  }
  throw new Error(`no version answers otherwise after ${maxSteps} steps`);
}

process.on('message', (task: KitTask) => {
  (task.type === 'serve' ? serve(task) : learn(task)).then(
    (reply) => process.send?.(reply),
    (thrown: unknown) => {
      const { code, message } = HoneError.from(thrown);
      process.send?.({ type: 'failed', message: `${code}: ${message}` });
    },
  );
});
process.on('disconnect', () => process.exit(0));
