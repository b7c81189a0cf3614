/** What Hone's decode graph and training graph compute for the sequences of a proof. */

import { initialParameters, type LearnerSettings, openEngine } from '../learner/index.js';
import { findLinears, type Package, readDecoder } from '../package/index.js';
import { openPolicy, type Policy, plainSampling } from '../policy/index.js';
import { digestAdapter, zeroAdapter } from '../versions/index.js';
import type { TokenAnswer } from './compare.js';
import { prefillChunk, type Sequence } from './sequences.js';

const kvMemoryBytes = 2 ** 28;

/** Asks for all sequences at once, so that rows of different lengths share the steps. */
export async function askDecoder(
  pkg: Package,
  sequences: readonly Sequence[],
  threads: number,
): Promise<TokenAnswer[]> {
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 1, 1);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  // The room for keys and values of a whole context is not needed.
  const longest = Math.max(...sequences.map(({ prompt, completion }) => prompt.length + completion.length));
  const config = { ...pkg.config, contextLength: Math.min(pkg.config.contextLength, longest + 1) };
  const settings = { threads, prefillChunk, prefixCacheBytes: 0, kvMemoryBytes };
  await using policy = await openPolicy({ pkg: { ...pkg, config }, version, ...settings });
  return (await Promise.all(sequences.map((sequence) => complete(policy, sequence)))).flat();
}

async function complete(policy: Policy, { prompt, completion }: Sequence): Promise<TokenAnswer[]> {
  const answers: TokenAnswer[] = [];
  const events = policy.complete({
    promptTokens: prompt,
    completions: [{ id: 'proof', seed: 1, forced: completion }],
    sampling: { ...plainSampling(completion.length), ignoreEos: true, topLogprobs: 1 },
  });
  for await (const event of events) {
    if (event.type !== 'tokens') continue;
    for (const [i, token] of event.tokens.entries()) {
      const [likeliest] = event.topLogprobs?.[i] ?? [];
      answers.push({ token, logprob: event.logprobs[i] as number, likeliest: likeliest?.token ?? -1 });
    }
  }
  return answers;
}

/** Returns the log-probability of each completion, computed by the graph that is trained. */
export async function askTraining(
  packageDirectory: string,
  settings: LearnerSettings,
  sequences: readonly Sequence[],
  threads: number,
): Promise<Float32Array> {
  const own = { ...settings, engine: 'onnx', device: 'cpu', threads } as const;
  const engine = await openEngine({ packageDirectory, settings: own });
  try {
    const rows = sequences.map(({ prompt, completion }) => ({ promptTokens: prompt, completionTokens: completion }));
    return await engine.logProbabilities(rows, initialParameters(engine.targets, settings.rank, 1));
  } finally {
    await engine.close();
  }
}
