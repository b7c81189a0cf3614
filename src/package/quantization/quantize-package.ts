/**
 * Writes a copy of a package with quantised linear layers. Only one weight is in memory at a time, and the folder
 * appears under its name when it is complete.
 */

import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { HoneError } from '../../errors.js';
import { fileExists } from '../files.js';
import { loadPackage } from '../load.js';
import { readDecoder } from '../normalize.js';
import { findTargets } from './quantized-graph.js';
import { type ModelOptions, writeQuantizedModel } from './write-model.js';

interface QuantizeOptions extends ModelOptions {
  /** Whether the head and the embedding are quantised too. */
  readonly head: boolean;
  /** Whether a folder that an earlier quantisation wrote may be replaced. Default false. */
  readonly force?: boolean;
}

/** The content of `hone_quantization.json` in a quantised package. */
interface QuantizationNote {
  readonly formatVersion: 1;
  readonly bits: 4 | 8;
  readonly blockSize: number;
  /** Whether head and embedding are quantised too, always to 8 bits. */
  readonly head: boolean;
  /** Digest of the source package. */
  readonly sourceDigest: string;
  /** Names of the float32 weights that were quantised. */
  readonly weights: readonly string[];
}

const noteFile = 'hone_quantization.json';
const modelFile = join('onnx', 'model.onnx');
/** Matches the other files of a model folder that are copied: configuration, tokenizer, licence. */
const companions = /^(?!.*\.(safetensors|bin)\.index\.json$).*\.(json|jinja|txt|model)$|^(LICENSE|NOTICE)/;

/**
 * Quantises the package in `source` into the new folder `output`.
 * @throws HoneError `PACKAGE_INVALID` if the source is not a package or already quantised, `INVALID_OPTIONS` if the
 * output exists or lies in the source, `CANCELLED` if the signal fires. In each case nothing is left behind.
 */
export async function quantizePackage(
  source: string,
  output: string,
  options: QuantizeOptions,
): Promise<QuantizationNote> {
  const from = resolve(source);
  const to = resolve(output);
  const { digest } = await loadPackage(from);
  await checkOutput(from, to, options.force === true);
  const graph = await readDecoder(join(from, modelFile));
  // `useIntegerProducts` applies to files of this producer.
  graph.producer = 'hone';
  const targets = findTargets(graph, options.head);
  const note: QuantizationNote = {
    formatVersion: 1,
    bits: options.bits,
    blockSize: options.blockSize,
    head: options.head,
    sourceDigest: digest,
    weights: targets.map(({ weight }) => weight),
  };
  const draft = `${to}.${randomUUID()}.draft`;
  try {
    await mkdir(join(draft, 'onnx'), { recursive: true });
    await writeQuantizedModel(graph, targets, join(draft, 'onnx'), options);
    for (const name of await readdir(from)) {
      if (companions.test(name) && name !== noteFile && (await fileExists(from, name))) {
        await copyFile(join(from, name), join(draft, name));
      }
    }
    await writeFile(join(draft, noteFile), `${JSON.stringify(note, null, 2)}\n`);
    if (options.force === true) await rm(to, { recursive: true, force: true });
    await rename(draft, to);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return note;
}

async function checkOutput(source: string, output: string, force: boolean): Promise<void> {
  if (output === source || output.startsWith(source + sep) || source.startsWith(output + sep)) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `one of the folders ${output} and ${source} (the package) contains the other; name another output folder`,
    );
  }
  const exists = await stat(output).then(
    () => true,
    () => false,
  );
  if (!exists) return;
  if (!force) {
    throw new HoneError('INVALID_OPTIONS', `${output} already exists; name a new folder, or replace it with --force`);
  }
  if (!(await fileExists(output, noteFile))) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `${output} was not written by hone quantize (it has no ${noteFile}), so it is not replaced; name a new folder`,
    );
  }
}
