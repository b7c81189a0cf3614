/**
 * An adapter on disk: a directory with `adapter_model.safetensors` and `adapter_config.json` in PEFT's layout and
 * `version.json`, which records the digest and where the adapter came from.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { checkAdapter, digestAdapter } from './adapter.js';
import { writeDirectoryDurably } from './durable-files.js';
import { decodePeft, encodePeftWeights, peftConfig } from './peft.js';
import type { Adapter } from './types.js';

/** Where an adapter comes from; part of `version.json`. */
export interface AdapterMeta {
  readonly packageDigest: string;
  /** Name of the base model, for PEFT's `base_model_name_or_path`. */
  readonly baseModel: string;
  /** The version it was trained from. */
  readonly parent: number | null;
  readonly createdAtMs: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface StoredAdapter {
  readonly adapter: Adapter;
  readonly digest: string;
  readonly meta: AdapterMeta;
}

/** Version of the layout of `version.json`. */
const format = 1;

/**
 * Writes an adapter into a new directory; whole and on disk when it resolves, and a crash leaves no directory of that
 * name. Metrics that are not finite are left out.
 * @returns the adapter's digest
 * @throws HoneError `ADAPTER_INVALID` when the adapter is not one; the file system's own errors otherwise
 */
export async function writeAdapter(directory: string, adapter: Adapter, meta: AdapterMeta): Promise<string> {
  checkAdapter(adapter);
  const digest = digestAdapter(adapter);
  const metrics = finiteMetrics(meta.metrics);
  await writeDirectoryDurably(directory, {
    'adapter_model.safetensors': encodePeftWeights(adapter),
    'adapter_config.json': `${JSON.stringify(peftConfig(adapter, meta.baseModel), null, 2)}\n`,
    'version.json': `${JSON.stringify({ format, adapterDigest: digest, scale: adapter.scale, ...meta, metrics }, null, 2)}\n`,
  });
  return digest;
}

/**
 * Reads an adapter and recomputes its digest.
 * @throws HoneError `ADAPTER_INVALID` when files are missing, torn or not what the recorded digest says
 */
export async function readAdapter(directory: string): Promise<StoredAdapter> {
  const [weights, config, record] = await Promise.all([
    readPart(directory, 'adapter_model.safetensors'),
    readJson(directory, 'adapter_config.json'),
    readJson(directory, 'version.json'),
  ]);
  if (record.format !== format) throw invalid(directory, `version.json has format ${String(record.format)}`);
  const { adapterDigest, scale, packageDigest, baseModel, parent, createdAtMs, metrics } = record;
  let adapter = decodePeft(weights, config);
  // lora_alpha / r may miss the scale by a rounding error, which the digest would see.
  if (typeof scale === 'number' && Math.abs(scale - adapter.scale) <= 1e-9 * Math.abs(scale)) {
    adapter = { ...adapter, scale };
  }
  const digest = digestAdapter(adapter);
  if (digest !== adapterDigest) {
    throw invalid(directory, `its digest is ${digest}, recorded is ${String(adapterDigest)}`);
  }
  if (typeof packageDigest !== 'string' || typeof baseModel !== 'string' || typeof createdAtMs !== 'number') {
    throw invalid(directory, 'version.json lacks packageDigest, baseModel or createdAtMs');
  }
  return {
    adapter,
    digest,
    meta: {
      packageDigest,
      baseModel,
      parent: typeof parent === 'number' ? parent : null,
      createdAtMs,
      metrics: finiteMetrics(Object(metrics)),
    },
  };
}

/** Only the finite numbers: JSON has no others. */
export function finiteMetrics(metrics: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  );
}

async function readPart(directory: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(join(directory, name));
  } catch (cause) {
    throw new HoneError('ADAPTER_INVALID', `the adapter in ${directory} lacks a readable ${name}`, { cause });
  }
}

async function readJson(directory: string, name: string): Promise<Record<string, unknown>> {
  const bytes = await readPart(directory, name);
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new HoneError('ADAPTER_INVALID', `${name} of the adapter in ${directory} is not JSON`, { cause });
  }
  throw invalid(directory, `${name} is not an object`);
}

function invalid(directory: string, reason: string): HoneError {
  return new HoneError('ADAPTER_INVALID', `the adapter in ${directory} is damaged or foreign: ${reason}`);
}
