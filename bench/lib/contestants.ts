/** The engines that decode a model: Hone's policy in its variants, and the peers on the same weights. */

import type { PackageTokenizer } from '../../src/package/index.js';
import { type Contestant, openFastest } from './contest.js';
import { type ContestantName, tasksOf } from './decode-tasks.js';
import type { Engine } from './engine.js';
import { openGguf } from './gguf-package.js';
import type { BenchModel } from './models.js';
import { openPeer } from './peer-process.js';
import { openOwnEngine } from './policy.js';
import { say } from './progress.js';

interface ContestantOptions {
  /** The settings to try. Each engine uses the one that is fastest for it at batch 1. */
  readonly threads: readonly number[];
  readonly spin: boolean;
  readonly peers: boolean;
  /** The same model as MatMulNBits int8, if there is one. */
  readonly int8Package: string | undefined;
  /** Number of concurrent requests and tokens of each, for which llama.cpp reserves its cache. */
  readonly sequences: number;
  readonly contextSize: number;
}

/** Opens all engines. Reports a peer that cannot run and leaves it out. The caller closes them. */
export async function openContestants(
  model: BenchModel,
  tokenizer: PackageTokenizer,
  options: ContestantOptions,
): Promise<(Contestant & { readonly name: ContestantName })[]> {
  const { directory } = model;
  const { spin, sequences, contextSize } = options;
  const opened: (Contestant & { readonly name: ContestantName })[] = [];
  const add = (name: ContestantName, engine: Engine): void => {
    say(`${model.name}: ${name}: ${engine.about}`);
    opened.push({ name, engine, tasks: tasksOf[name] });
  };
  const addPeer = async <Settings>(
    name: ContestantName,
    settings: readonly Settings[],
    open: (settings: Settings) => Promise<Engine>,
  ): Promise<void> => {
    try {
      const { engine } = await openFastest(settings, open, tokenizer);
      add(name, engine);
    } catch (error) {
      say(`${model.name}: leaving ${name} out: ${error instanceof Error ? error.message : error}`);
    }
  };
  const own = (folder: string, threads: number, adapters: boolean): Promise<Engine> =>
    openOwnEngine(folder, { threads, spin: spin && threads > 1, adapters });
  try {
    const hone = await openFastest(options.threads, (threads) => own(directory, threads, false), tokenizer);
    add('hone', hone.engine);
    add('hone_lora', await own(directory, hone.settings, true));
    if (options.int8Package !== undefined) {
      add('hone_int8', await own(options.int8Package, hone.settings, false));
    }
    if (options.peers) {
      await addPeer('transformers', options.threads, (threads) =>
        openPeer({ script: 'transformers.mjs', directory, threads }),
      );
      for (const type of ['f32', 'q8_0'] as const) {
        const settings = [true, false].flatMap((flashAttention) =>
          options.threads.map((threads) => ({ threads, flashAttention })),
        );
        await addPeer(`llamacpp_${type}`, settings, async (chosen) => {
          const file = await openGguf(directory, type);
          return openPeer({ script: 'llamacpp.mjs', file, sequences, contextSize, ...chosen });
        });
      }
    }
  } catch (error) {
    await closeContestants(opened);
    throw error;
  }
  return opened;
}

export async function closeContestants(contestants: readonly Contestant[]): Promise<void> {
  for (const { engine } of contestants) await engine.close();
}
