/**
 * Writes and reads an adapter on disk: a directory with `adapter_model.safetensors` and `adapter_config.json` in PEFT's
 * layout, and `version.json`, which records the digest and the origin of the adapter.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { checkAdapter, digestAdapter } from './adapter.js';
import { writeDirectoryDurably } from './durable-files.js';
import { decodePeft, encodePeftWeights, peftConfig } from './peft.js';
import type { Adapter } from './types.js';

/** The origin of an adapter; part of `version.json`. */
export interface AdapterMeta {
  readonly packageDigest: string;
  /** Name of the base model, for PEFT's `base_model_name_or_path`. */
  readonly baseModel: string;
  /** The version it was trained from. */
  readonly parent: number | null;
  readonly createdAtMs: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The files of an adapter by name. */
export type AdapterFiles = Readonly<Record<string, Uint8Array>>;

export interface StoredAdapter {
  readonly adapter: Adapter;
  readonly digest: string;
  readonly meta: AdapterMeta;
}

/** The files of an adapter that Hone has written. */
const adapterFileNames = ['adapter_model.safetensors', 'adapter_config.json', 'version.json'];

/** Version of the layout of `version.json`. */
const format = 1;

/**
 * Writes an adapter into a new directory. It is complete and on disk when it resolves; a crash leaves no directory of that
 * name. Metrics that are not finite are left out.
 * @returns the adapter's digest
 * @throws HoneError `ADAPTER_INVALID` for an invalid adapter; errors of the file system
 */
export async function writeAdapter(directory: string, adapter: Adapter, meta: AdapterMeta): Promise<string> {
  checkAdapter(adapter);
  await writeDirectoryDurably(directory, encodeAdapter(adapter, meta));
  return digestAdapter(adapter);
}

/**
 * Returns the files of an adapter.
 * @param also further fields of `version.json`, which reading ignores
 */
export function encodeAdapter(adapter: Adapter, meta: AdapterMeta, also: Readonly<object> = {}): AdapterFiles {
  const { scale } = adapter;
  const metrics = finiteMetrics(meta.metrics);
  const json = (value: object): Uint8Array => Buffer.from(`${JSON.stringify(value, null, 2)}\n`, 'utf8');
  return {
    'adapter_model.safetensors': encodePeftWeights(adapter),
    'adapter_config.json': json(peftConfig(adapter, meta.baseModel)),
    'version.json': json({ format, adapterDigest: digestAdapter(adapter), scale, ...meta, metrics, ...also }),
  };
}

/**
 * Reads an adapter and recomputes its digest.
 * @throws HoneError `ADAPTER_INVALID` if files are missing or damaged, or do not match the recorded digest
 */
export async function readAdapter(directory: string): Promise<StoredAdapter> {
  const parts = await Promise.all(
    adapterFileNames.map(async (name) => [name, await readPart(directory, name)] as const),
  );
  return decodeAdapter(Object.fromEntries(parts), `the adapter in ${directory}`);
}

/**
 * Reads an adapter from the bytes of its files.
 * @param what names the adapter in errors
 * @throws HoneError `ADAPTER_INVALID` if files are missing or damaged, or do not match the recorded digest
 */
export function decodeAdapter(files: AdapterFiles, what: string): StoredAdapter {
  const record = parseJson(files, 'version.json', what);
  if (record.format !== format)
    throw invalid(what, `version.json has format ${String(record.format)}; this build reads format ${format}`);
  const { adapterDigest, scale, packageDigest, baseModel, parent, createdAtMs, metrics } = record;
  let adapter = decodePeft(
    partOf(files, 'adapter_model.safetensors', what),
    parseJson(files, 'adapter_config.json', what),
  );
  // lora_alpha / r may differ from the scale by a rounding error, which would change the digest.
  if (typeof scale === 'number' && Math.abs(scale - adapter.scale) <= 1e-9 * Math.abs(scale)) {
    adapter = { ...adapter, scale };
  }
  const digest = digestAdapter(adapter);
  if (digest !== adapterDigest) {
    throw invalid(what, `its digest is ${digest}, but version.json records ${String(adapterDigest)}`);
  }
  if (typeof packageDigest !== 'string' || typeof baseModel !== 'string' || typeof createdAtMs !== 'number') {
    throw invalid(what, 'version.json lacks packageDigest, baseModel or createdAtMs');
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

/** Keeps the finite numbers, because JSON has no others. */
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

/** Returns one of the files. @throws HoneError `ADAPTER_INVALID` if it is missing */
export function partOf(files: AdapterFiles, name: string, what: string): Uint8Array {
  const bytes = files[name];
  if (bytes === undefined) throw invalid(what, `it lacks ${name}`);
  return bytes;
}

/** Returns the JSON object in one of the files. @throws HoneError `ADAPTER_INVALID` */
export function parseJson(files: AdapterFiles, name: string, what: string): Record<string, unknown> {
  const bytes = partOf(files, name, what);
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new HoneError('ADAPTER_INVALID', `${name} of ${what} is not JSON`, { cause });
  }
  throw invalid(what, `${name} is not an object`);
}

function invalid(what: string, reason: string): HoneError {
  return new HoneError('ADAPTER_INVALID', `${what} is damaged, or Hone did not write it: ${reason}`);
}
