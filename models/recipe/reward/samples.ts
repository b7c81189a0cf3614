/** Samples completions of posts from the supervised policy. Files of a few hundred posts keep the progress. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Package } from '../../../src/package/index.js';
import type { Policy } from '../../../src/policy/index.js';
import { writeFileDurably } from '../../../src/versions/index.js';
import { createProgress } from '../progress.js';
import { openBasePolicy, sampleTexts } from '../sampling.js';
import { createPost, type Split } from '../world/index.js';

/** A post with the policy's completions. */
export interface SampledPost {
  readonly seed: number;
  readonly post: string;
  readonly texts: readonly string[];
}

interface SampleOptions {
  readonly pkg: Package;
  readonly split: Split;
  readonly firstSeed: number;
  readonly posts: number;
  readonly completionsPerPost: number;
  readonly threads: number;
  /** Folder of the files. */
  readonly work: string;
}

const postsPerFile = 256;
/** Number of posts that are completed at once. */
const concurrency = 8;

/** Reads the completions from the folder, and samples those that are missing. */
export async function samplePosts(options: SampleOptions): Promise<SampledPost[]> {
  const { split, posts, work } = options;
  const progress = createProgress(`sampling (${split})`, posts);
  const sampled: SampledPost[] = [];
  let policy: Policy | undefined;
  try {
    for (let first = 0; first < posts; first += postsPerFile) {
      const path = join(work, `samples-${split}-${first}.json`);
      if (!existsSync(path)) {
        policy ??= await openBasePolicy(options.pkg, options.threads);
        const count = Math.min(postsPerFile, posts - first);
        const part = await sampleRange(policy, options, options.firstSeed + first, count);
        await writeFileDurably(path, Buffer.from(JSON.stringify(part)));
      }
      sampled.push(...JSON.parse(await readFile(path, 'utf8')));
      progress.update(sampled.length, `${sampled.length} of ${posts} posts`);
    }
    progress.finish(`${posts} posts with ${options.completionsPerPost} completions each`);
    return sampled;
  } finally {
    await policy?.close();
  }
}

async function sampleRange(
  policy: Policy,
  { pkg, split, completionsPerPost }: SampleOptions,
  firstSeed: number,
  count: number,
): Promise<SampledPost[]> {
  const sampled: SampledPost[] = new Array(count);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const i = next++;
      const seed = firstSeed + i;
      const post = createPost(seed, split).text;
      const promptTokens = pkg.tokenizer.encodeChat([{ role: 'user', content: post }]);
      sampled[i] = {
        seed,
        post,
        texts: await sampleTexts(policy, promptTokens, completionsPerPost, seed * completionsPerPost),
      };
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return sampled;
}
