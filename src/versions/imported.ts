/**
 * Reads and checks an adapter from elsewhere: one that Hone exported, or one that Python's `peft` made for the same model.
 * Rank and scale are free. Layers that the adapter leaves out get zero matrices, which change nothing.
 */

import { HoneError } from '../errors.js';
import { checkSameLayers, zeroAdapter } from './adapter.js';
import { type AdapterFiles, decodeAdapter, parseJson, partOf } from './adapter-files.js';
import { decodePeft } from './peft.js';
import { readLoraConfig } from './peft-config.js';
import type { Adapter, AdapterTarget } from './types.js';

/** A checked adapter, ready to become a version. */
export interface ImportedAdapter {
  readonly adapter: Adapter;
  /** Name of the model for which it was made, according to its files. */
  readonly baseModel: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The package and the learner that an adapter must fit. */
export interface ImportTarget {
  readonly packageDigest: string;
  /** The linear layers of the package. */
  readonly layers: readonly AdapterTarget[];
  /** Largest rank from which the learner can continue. */
  readonly maxRank: number;
}

/** Largest rank of an imported adapter. */
export const maxImportRank = 256;

/** Most metrics of an imported version, and the longest name of one in characters. Hone writes some dozens. */
const maxMetrics = 256;
const maxMetricName = 128;

/** Bytes for everything in the files but the matrices: names, configuration, metrics. */
const otherBytes = 1024 * 1024;

const what = 'the adapter to import';

/** Bytes of the largest adapter for these layers, all files together. */
export function maxImportBytes(layers: readonly AdapterTarget[]): number {
  const values = layers.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures + outFeatures, 0);
  return values * maxImportRank * Float32Array.BYTES_PER_ELEMENT + otherBytes;
}

/**
 * Reads the files of an adapter: `adapter_model.safetensors`, `adapter_config.json` and, for an exported version,
 * `version.json`, whose digest must match the matrices.
 * @throws HoneError `ADAPTER_REFUSED` for files that are damaged or of an unsupported kind, `ADAPTER_MISMATCH` for an
 * adapter of another model
 */
export function readImported(files: AdapterFiles, target: ImportTarget): ImportedAdapter {
  try {
    return read(files, target);
  } catch (thrown) {
    const { code, message } = HoneError.from(thrown);
    // ADAPTER_INVALID means a loss of the server's own data, and these files are a client's.
    if (code !== 'ADAPTER_INVALID') throw thrown;
    throw new HoneError('ADAPTER_REFUSED', message, { cause: thrown });
  }
}

function read(files: AdapterFiles, target: ImportTarget): ImportedAdapter {
  const imported = 'version.json' in files ? readExported(files, target) : readPeft(files, target);
  const { rank, scale } = imported.adapter;
  if (rank > maxImportRank) throw mismatch(`its rank is ${rank}, but at most ${maxImportRank} is possible`);
  if (rank > target.maxRank) {
    throw mismatch(
      `its rank is ${rank}, but the learner, which continues from it, has rank ${target.maxRank}; ` +
        `start the server with --rank ${rank}, or with --learner off`,
    );
  }
  checkSameLayers(imported.adapter, zeroAdapter(target.layers, 1, 1));
  return { ...imported, metrics: { ...imported.metrics, rank, scale } };
}

function readExported(files: AdapterFiles, { packageDigest }: ImportTarget): ImportedAdapter {
  const { adapter, meta } = decodeAdapter(files, what);
  if (meta.packageDigest !== packageDigest) {
    throw mismatch(
      `it was exported from a server with package ${meta.packageDigest}, but this server has ${packageDigest}; ` +
        'if you know that it fits (a quantised copy of the same model), import its folder without version.json',
    );
  }
  const metrics = Object.keys(meta.metrics);
  // Every list of versions repeats them.
  if (metrics.length > maxMetrics || metrics.some((name) => name.length > maxMetricName)) {
    throw new HoneError(
      'ADAPTER_INVALID',
      `${what} has ${metrics.length} metrics in version.json: at most ${maxMetrics} are possible, with names of at most ${maxMetricName} characters`,
    );
  }
  return { adapter, baseModel: meta.baseModel, metrics: meta.metrics };
}

function readPeft(files: AdapterFiles, { layers }: ImportTarget): ImportedAdapter {
  const config = parseJson(files, 'adapter_config.json', what);
  const { isTarget } = readLoraConfig(config);
  const adapter = decodePeft(partOf(files, 'adapter_model.safetensors', what), config);
  const torn = layers.find(({ module }) => isTarget?.(module) === true && !adapter.tensors.has(`${module}.lora_A`));
  if (torn !== undefined) {
    throw new HoneError(
      'ADAPTER_INVALID',
      `${what} is incomplete: target_modules of adapter_config.json names ${torn.module}, but its matrices are missing`,
    );
  }
  const { base_model_name_or_path: baseModel } = config;
  return { adapter: complete(adapter, layers), baseModel: typeof baseModel === 'string' ? baseModel : '', metrics: {} };
}

/** Adds zero matrices for the layers that the adapter leaves out. */
function complete(adapter: Adapter, layers: readonly AdapterTarget[]): Adapter {
  if (adapter.tensors.size === 0) throw mismatch('it holds no matrices');
  const { rank, scale } = adapter;
  const zero = zeroAdapter(
    layers.filter(({ module }) => !adapter.tensors.has(`${module}.lora_A`)),
    rank,
    scale,
  );
  return { rank, scale, tensors: new Map([...adapter.tensors, ...zero.tensors]) };
}

function mismatch(reason: string): HoneError {
  return new HoneError('ADAPTER_MISMATCH', `${what} does not fit: ${reason}`);
}
