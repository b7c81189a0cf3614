/** Draws completions from a finished package as a server does, at temperature 1 without truncation. */

import { findLinears, type Package, readDecoder } from '../../src/package/index.js';
import { openPolicy, type Policy, plainSampling } from '../../src/policy/index.js';
import { digestAdapter, zeroAdapter } from '../../src/versions/index.js';

/** Opens a policy that serves the package without an adapter. */
export async function openBasePolicy(pkg: Package, threads: number): Promise<Policy> {
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 1, 1);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  return openPolicy({ pkg, version, threads });
}

/** Draws `count` completions of one prompt, with seeds from `firstSeed` on. */
export async function sampleTexts(
  policy: Policy,
  promptTokens: readonly number[],
  count: number,
  firstSeed: number,
): Promise<string[]> {
  const texts = new Array<string>(count).fill('');
  const events = policy.complete({
    promptTokens,
    sampling: plainSampling(128),
    completions: texts.map((_, k) => ({ id: `sample-${firstSeed + k}`, seed: firstSeed + k })),
  });
  for await (const event of events) if (event.type === 'tokens') texts[event.completion] += event.text;
  return texts;
}
