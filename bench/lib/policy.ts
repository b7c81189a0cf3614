/** Hone's policy worker as an engine to measure. */

import { findLinears, loadPackage, readDecoder } from '../../src/package/index.js';
import { openPolicy, type Policy, type SamplingSettings } from '../../src/policy/index.js';
import { digestAdapter, zeroAdapter } from '../../src/versions/index.js';
import { type Engine, runWhenDue } from './engine.js';

const rank = 8;
const scale = 2;

interface PolicyTask {
  readonly threads: number;
  /** Whether idle threads of onnxruntime spin. */
  readonly spin: boolean;
  /** Whether the policy runs with an adapter of rank 8, as in serving. It is all zero, and costs as much as any other. */
  readonly adapters: boolean;
}

async function openBenchPolicy(packageDirectory: string, task: PolicyTask): Promise<Policy> {
  const pkg = await loadPackage(packageDirectory);
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), rank, scale);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  return openPolicy({ pkg, version, ...task });
}

/** Opens the policy as an engine. */
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
          sampling: greedySampling(maxTokens),
        };
        for await (const event of policy.complete(request)) if (event.type === 'tokens') push(event.tokens);
      }),
    close: () => policy.close(),
  };
}

/** Settings that choose the likeliest token each time, to the length that is asked for. */
export function greedySampling(maxTokens: number): SamplingSettings {
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
