/**
 * A kit of models: folders `<family>/<form>`, each a package as an exporter writes it, with `reference.json`, which has
 * what PyTorch computes for the checkpoint and what onnxruntime computes for the file itself. A folder without it is odd
 * on purpose: nothing is known about its tokens.
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Greedy tokens behind a prompt, with the log-probability of each. */
export interface GreedyTokens {
  readonly tokens: readonly number[];
  readonly logprobs: readonly number[];
}

export interface KitFolder {
  /** `<family>/<form>`. */
  readonly name: string;
  readonly directory: string;
  /** The tokens of the prompt; null without a reference. */
  readonly prompt: readonly number[] | null;
  /** What the package is compared with: its own file run by onnxruntime, or else the checkpoint run by PyTorch. */
  readonly expected: GreedyTokens | null;
  /** Whether onnxruntime itself runs the file. For a checkpoint: whether PyTorch does. */
  readonly isRunnable: boolean;
  /** Whether the weights are stored in fewer than 16 bits. */
  readonly isQuantized: boolean;
}

interface Reference {
  readonly ids: readonly number[];
  readonly pt?: readonly [readonly number[], readonly number[]];
  readonly ort?: readonly [readonly number[], readonly number[]];
  readonly ort_error?: string;
}

const quantizedForm = /int[48]|q4|q8|quantized|bnb4/;

/** Lists the folders of a kit, sorted by name. @throws Error if there is no folder */
export async function listKit(kit: string): Promise<KitFolder[]> {
  const folders: KitFolder[] = [];
  for (const family of await subfolders(kit)) {
    for (const form of await subfolders(join(kit, family))) folders.push(await kitFolder(kit, family, form));
  }
  if (folders.length === 0) throw new Error(`${kit} holds no folders <family>/<form>`);
  return folders;
}

async function subfolders(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

async function kitFolder(kit: string, family: string, form: string): Promise<KitFolder> {
  const directory = join(kit, family, form);
  const reference = await readReference(directory);
  const given = reference?.ort ?? reference?.pt;
  return {
    name: `${family}/${form}`,
    directory,
    prompt: reference?.ids ?? null,
    expected: given === undefined ? null : { tokens: given[0], logprobs: given[1] },
    isRunnable: reference !== null && reference.ort_error === undefined,
    isQuantized: quantizedForm.test(form),
  };
}

async function readReference(directory: string): Promise<Reference | null> {
  try {
    return JSON.parse(await readFile(join(directory, 'reference.json'), 'utf8')) as Reference;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
