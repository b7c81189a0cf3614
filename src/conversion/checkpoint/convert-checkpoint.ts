/**
 * Converts a Hugging Face checkpoint (`config.json` and safetensors) into a package that Hone serves and learns on. The
 * weights are read, turned over or quantised, and written in pieces, so that memory does not grow with the model.
 */

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { HoneError } from '../../errors.js';
import { Graph } from '../../onnx/index.js';
import { fileExists, invalidPackage, readJson } from '../../package/index.js';
import type { Family } from '../families/family.js';
import { familyOf } from '../families/index.js';
import { writeDurably, writeModel } from '../weights/write-model.js';
import { CheckpointFiles } from './checkpoint-files.js';
import { ConfigFields } from './config-fields.js';
import { buildDecoder } from './decoder-graph.js';
import type { DecoderPlan } from './decoder-plan.js';
import { WeightBook } from './weight-book.js';

export interface ConvertOptions {
  /** The folder with `config.json` and the weights. */
  readonly directory: string;
  /** The folder of the package, which must not exist. An unfinished one lies in `<target>.partial` until it is whole. */
  readonly target: string;
  /** Bits of the linear layers' weights: 32 for float32. */
  readonly bits: 4 | 8 | 32;
  /** Whether 4 and 8 bits hold for head and embedding too, which get 8. Default true, as in `hone quantize`. */
  readonly head?: boolean;
  /** Longest context to serve, in tokens. Default, and the most: what the model was made for. */
  readonly contextLength?: number;
  readonly signal?: AbortSignal;
  /** Called after each piece with bytes that are written, and of all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface ConvertedCheckpoint {
  readonly modelType: string;
  /** The served context, in tokens. */
  readonly contextLength: number;
  /** Bytes of the weights that were written. */
  readonly bytes: number;
  /** Bytes that an earlier, interrupted conversion had written. */
  readonly resumedBytes: number;
}

/** A change of what is written from the same files and options changes this number. */
const conversionVersion = 1;

/** Matches the other files of a model folder that are copied: configuration, tokenizer, licence. */
const companions = /^(?!.*\.index\.json$).*\.(json|jinja|txt|model)$|^(LICENSE|NOTICE)/;

const configSchema = z.looseObject({ model_type: z.string() });

/**
 * Writes the package into `target`, which appears when it is complete and on the disk.
 * @throws HoneError `OPERATOR_UNSUPPORTED` for an unknown family or field, `PACKAGE_INVALID` if the files are damaged or
 * do not fit each other, `INVALID_OPTIONS` if the target exists, `CANCELLED` if the signal fires. After `CANCELLED`,
 * and after a crash, the next call with the same options goes on where this one stopped.
 */
export async function convertCheckpoint(options: ConvertOptions): Promise<ConvertedCheckpoint> {
  const directory = resolve(options.directory);
  const target = resolve(options.target);
  if (await exists(target)) throw new HoneError('INVALID_OPTIONS', `${target} already exists; name a new folder`);
  const config = await readJson(directory, 'config.json', configSchema);
  const { family, plan } = describe(directory, config);
  const files = await CheckpointFiles.open(directory);
  try {
    const contextLength = servedContext(plan, options.contextLength);
    const graph = new Graph();
    const form = { bits: options.bits, head: options.head ?? true };
    const book = new WeightBook(graph, files, form, {
      stored: storedNames(family, files),
      unused: [...alwaysUnused, ...(family.unused ?? []), ...(plan.head.module === null ? [headWeight] : [])],
    });
    buildDecoder(graph, book, plan, contextLength);
    book.refuseUnused();
    if (plan.head.module === null) await checkTied(files, family, plan);
    const draft = `${target}.partial`;
    const folder = join(draft, 'onnx');
    await mkdir(folder, { recursive: true });
    const key = await keyOf(config, files, { form, contextLength });
    for (const name of await readdir(directory)) {
      if (companions.test(name) && name !== 'config.json' && (await fileExists(directory, name))) {
        await copyFile(join(directory, name), join(draft, name));
      }
    }
    const written = packageConfig(config, family, plan, contextLength);
    await writeDurably(join(draft, 'config.json'), `${JSON.stringify(written, null, 2)}\n`);
    const { signal, onProgress } = options;
    const model = await writeModel(folder, graph, book.weights, { draft, key, signal, onProgress });
    await rename(draft, target);
    return { modelType: config.model_type, contextLength, ...model };
  } finally {
    await files.close();
  }
}

/** Rotary frequencies that old files store, although they follow from the configuration. */
const alwaysUnused = [/\.rotary_emb\.inv_freq$/];
const headWeight = /(^|\.)lm_head\.weight$/;

function describe(directory: string, config: z.output<typeof configSchema>): { family: Family; plan: DecoderPlan } {
  const where = join(directory, 'config.json');
  const family = familyOf(config.model_type, where);
  const fields = new ConfigFields(config, where);
  if (fields.has('quantization_config')) {
    throw fields.refuse('quantization_config', 'says that the weights are quantised; take the float checkpoint');
  }
  for (const name of ['is_encoder_decoder', 'add_cross_attention', 'tie_encoder_decoder']) fields.only(name, false);
  const part = family.part === undefined ? fields : fields.object(family.part);
  if (part === null) throw fields.refuse(family.part as string, 'is missing');
  const plan = family.describe(part, family.base);
  part.refuseUnread();
  if (part !== fields) {
    fields.ignore(...(family.beside ?? []));
    fields.refuseUnread();
  }
  return { family, plan };
}

/** Returns the length of the context, bounded by what the tables of the model allow. */
function servedContext(plan: DecoderPlan, wanted = plan.contextLength): number {
  const longest = plan.layers.flatMap(({ attention }) => attention.rotary?.tables.longest ?? []);
  return Math.min(wanted, plan.contextLength, ...longest);
}

/** Bare models leave out the path of the module that holds all but the head. */
function storedNames(family: Family, files: CheckpointFiles): (name: string) => string {
  const start = `${family.base}.`;
  return (name) => {
    if (!name.startsWith(start)) {
      const inside = family.otherBases?.map((base) => `${base.split('.')[0]}.${name}`) ?? [];
      return (
        [name, ...inside, family.otherNames?.[name] ?? name].find((candidate) => files.tensors.has(candidate)) ?? name
      );
    }
    const rest = name.slice(start.length);
    const candidates = [name, ...(family.otherBases ?? []).map((base) => `${base}.${rest}`), rest];
    return candidates.find((candidate) => files.tensors.has(candidate)) ?? name;
  };
}

/** Files may hold a tied head too. If it is not the embedding, it is unclear which of both the model means. */
async function checkTied(files: CheckpointFiles, family: Family, plan: DecoderPlan): Promise<void> {
  const found = [...files.tensors].find(([name]) => headWeight.test(name));
  const embedding = storedNames(family, files)(`${plan.embedding.module}.weight`);
  const table = files.tensors.get(embedding);
  if (found === undefined || table === undefined) return;
  const [name, head] = found;
  const same = head.dims.join() === table.dims.join() && (await sameValues(files, [name, head], [embedding, table]));
  if (same) return;
  throw invalidPackage(
    files.directory,
    head.file,
    `holds ${name}, which differs from ${embedding}, but config.json says that both are one (tie_word_embeddings); set ` +
      'tie_word_embeddings to false if the head is a weight of its own',
  );
}

type Named = readonly [string, Parameters<CheckpointFiles['read']>[1]];

async function sameValues(files: CheckpointFiles, a: Named, b: Named): Promise<boolean> {
  const count = a[1].dims.reduce((product, dim) => product * dim, 1);
  const step = 1 << 22;
  for (let at = 0; at < count; at += step) {
    const length = Math.min(step, count - at);
    const [left, right] = [await files.read(...a, at, length), await files.read(...b, at, length)];
    if (left.some((value, i) => value !== right[i])) return false;
  }
  return true;
}

/** Returns a digest over all that decides the bytes of the package's weights. */
async function keyOf(config: object, files: CheckpointFiles, settings: object): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify({ conversionVersion, config, settings }));
  for (const file of [...new Set([...files.tensors.values()].map(({ file }) => file))].sort()) {
    const { size, mtimeMs } = await stat(join(files.directory, file));
    hash.update(JSON.stringify([file, size, mtimeMs]));
  }
  for (const entry of files.tensors) hash.update(JSON.stringify(entry));
  return hash.digest('hex');
}

/** Returns `config.json` of the package: the original, with the sizes under the names that Hone reads. */
function packageConfig(
  config: Readonly<Record<string, unknown>>,
  family: Family,
  plan: DecoderPlan,
  contextLength: number,
): Record<string, unknown> {
  const part = family.part === undefined ? {} : (config[family.part] as Record<string, unknown>);
  return {
    ...part,
    ...config,
    num_hidden_layers: plan.layers.length,
    hidden_size: plan.hiddenSize,
    num_attention_heads: plan.heads,
    num_key_value_heads: plan.kvHeads,
    head_dim: plan.headSize,
    vocab_size: plan.vocabularySize,
    max_position_embeddings: contextLength,
  };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
