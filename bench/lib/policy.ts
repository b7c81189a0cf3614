/** Hone's own policy worker as an engine that is measured. */

import { findLinears, loadPackage, readDecoder } from '../../src/package/index.js';
import { openPolicy, type Policy, type SamplingSettings } from '../../src/policy/index.js';
import { digestAdapter, zeroAdapter } from '../../src/versions/index.js';
import { type Engine, runWhenDue } from './engine.js';

const rank = 8;
const scale = 2;

export interface PolicyTask {
  readonly threads: number;
  /** Whether idle threads of onnxruntime spin. */
  readonly spin: boolean;
  /** Whether an adapter of rank 8, all zero, is fed, as in serving. It costs what any adapter costs. */
  readonly adapters: boolean;
}

export async function openBenchPolicy(packageDirectory: string, task: PolicyTask): Promise<Policy> {
  const pkg = await loadPackage(packageDirectory);
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), rank, scale);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  return openPolicy({ pkg, version, ...task });
}

/** The policy behind the interface that all engines share. */
export async function openOwnEngine(packageDirectory: string, task: PolicyTask): Promise<Engine> {
  const policy = await openBenchPolicy(packageDirectory, task);
  let ids = 0;
  return {
    about: `${task.threads} threads${task.spin ? ', spinning' : ''}${task.adapters ? ', an adapter of rank 8 fed' : ''}`,
    run: (requests) =>
      runWhenDue(requests, async ({ promptTokens, maxTokens }, push) => {
        const id = ids++;
        const request = {
          promptTokens,
          completions: [{ id: `bench-${id}`, seed: id }],
          sampling: greedy(maxTokens),
        };
        for await (const event of policy.complete(request)) if (event.type === 'tokens') push(event.tokens);
      }),
    close: () => policy.close(),
  };
}

function greedy(maxTokens: number): SamplingSettings {
  return {
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    maxTokens,
    stop: [],
    ignoreEos: true,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    logitBias: {},
    topLogprobs: 0,
  };
}
