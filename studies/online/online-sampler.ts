/** The policy of an online loop: completions of posts at temperature 1, and versions that follow each other. */

import type { Package } from '../../src/package/index.js';
import { openPolicy, type Policy, plainSampling, type SamplingSettings } from '../../src/policy/index.js';
import type { Adapter } from '../../src/versions/index.js';

export interface Completion {
  readonly tokens: readonly number[];
  readonly text: string;
  readonly logprobs: readonly number[];
  readonly sampledLogprobs: readonly number[];
  /** Whether it ended by itself. */
  readonly ended: boolean;
}

/** A post and the seeds of its completions. */
export interface Asked {
  readonly promptTokens: readonly number[];
  readonly seeds: readonly number[];
}

export class OnlineSampler {
  readonly #policy: Policy;
  readonly #sampling: SamplingSettings;
  #version = 0;
  #adapterDigest: string;
  #requests = 0;

  private constructor(policy: Policy, adapterDigest: string, maxTokens: number) {
    this.#policy = policy;
    this.#adapterDigest = adapterDigest;
    this.#sampling = plainSampling(maxTokens);
  }

  /** Serves version 0, the zero adapter, on one thread. */
  static async open(pkg: Package, adapter: Adapter, adapterDigest: string, maxTokens: number): Promise<OnlineSampler> {
    const version = { number: 0, adapterDigest, adapter };
    // Long turns for prompts: the study does not read tokens as they come.
    const policy = await openPolicy({ pkg, version, threads: 1, prefillChunk: 512, maxQueue: 4096 });
    return new OnlineSampler(policy, adapterDigest, maxTokens);
  }

  /** The live version. */
  get live(): { readonly version: number; readonly adapterDigest: string } {
    return { version: this.#version, adapterDigest: this.#adapterDigest };
  }

  /** Asks for all completions at once. Returns them in the order of the posts and seeds. */
  complete(posts: readonly Asked[]): Promise<Completion[][]> {
    return Promise.all(posts.map((post) => this.#completeOne(post)));
  }

  /** Makes these weights the next version. */
  async swap(adapter: Adapter, adapterDigest: string): Promise<void> {
    await this.#policy.swap({ number: this.#version + 1, adapterDigest, adapter });
    this.#version += 1;
    this.#adapterDigest = adapterDigest;
  }

  close(): Promise<void> {
    return this.#policy.close();
  }

  async #completeOne({ promptTokens, seeds }: Asked): Promise<Completion[]> {
    const request = this.#requests++;
    const completions = seeds.map((seed, i) => ({ id: `${request}-${i}`, seed }));
    const drawn = seeds.map(() => ({
      tokens: [] as number[],
      text: '',
      logprobs: [] as number[],
      sampledLogprobs: [] as number[],
      ended: false,
    }));
    for await (const event of this.#policy.complete({ promptTokens, sampling: this.#sampling, completions })) {
      if (event.type === 'started') continue;
      const completion = drawn[event.completion] as (typeof drawn)[number];
      if (event.type === 'finished') completion.ended = event.endOfSequence;
      else {
        completion.tokens.push(...event.tokens);
        completion.logprobs.push(...event.logprobs);
        completion.sampledLogprobs.push(...event.sampledLogprobs);
        completion.text += event.text;
      }
    }
    return drawn;
  }
}
