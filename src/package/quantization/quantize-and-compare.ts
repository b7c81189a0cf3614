/** Quantises a package and measures how far the result differs from the source. */

import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { HoneError } from '../../errors.js';
import { isExternal, readModel } from '../../onnx/index.js';
import { loadPackage } from '../load.js';
import type { DecoderConfig, Package, PackageTokenizer } from '../types.js';
import { type BlockFormat, defaultBlockSizes } from './blocks.js';
import { type ComparedText, type Comparison, comparePackages } from './compare.js';
import { quantizePackage } from './quantize-package.js';

/**
 * Text to measure on: a document, or a prompt (rendered with the chat template) with a good answer. In the latter only
 * the answer's predictions count.
 */
export type MeasuredText = { readonly text: string } | { readonly prompt: string; readonly completion: string };

export interface QuantizeRequest {
  readonly bits: BlockFormat['bits'];
  /** Default: see {@link defaultBlockSizes}. */
  readonly blockSize: BlockFormat['blockSize'] | undefined;
  /** Folder of the float32 package. */
  readonly source: string;
  /** Folder to write. */
  readonly output: string;
  /** Whether the head and the embedding are quantised too. */
  readonly head: boolean;
  readonly force: boolean;
  readonly texts: readonly MeasuredText[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (stage: 'quantising' | 'measuring', done: number, total: number) => void;
}

/** The result. `bytes` is the size of the decoder's file with its external data. */
export interface QuantizeReport {
  readonly source: { readonly directory: string; readonly digest: string; readonly bytes: number };
  readonly output: { readonly directory: string; readonly digest: string; readonly bytes: number };
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly head: boolean;
  /** Number of quantised weights. */
  readonly weights: number;
  readonly comparison: Comparison;
}

/**
 * Writes the quantised package, then runs both on the texts.
 * @throws HoneError as `quantizePackage` and `loadPackage` do; `INVALID_OPTIONS` if the texts have no token to predict
 */
export async function quantizeAndCompare(request: QuantizeRequest): Promise<QuantizeReport> {
  const { source, output, bits, head, force, texts, signal, onProgress } = request;
  const blockSize = request.blockSize ?? defaultBlockSizes[bits];
  const before = await loadPackage(source);
  // The texts are encoded first, so that unusable text is refused before anything is written.
  const compared = texts
    .map((text) => encode(before, text))
    .filter(({ tokens, firstTarget }) => tokens.length > firstTarget);
  if (compared.length === 0) {
    throw new HoneError('INVALID_OPTIONS', 'the text to measure on has no token to predict; give more of it');
  }
  const stop = signal === undefined ? {} : { signal };
  const note = await quantizePackage(source, output, {
    ...stop,
    bits,
    blockSize,
    head,
    force,
    onProgress: (done, total) => onProgress?.('quantising', done, total),
  });
  const after = await loadPackage(output);
  const comparison = await comparePackages(before, after, compared, {
    ...stop,
    threads: availableParallelism(),
    onProgress: (done, total) => onProgress?.('measuring', done, total),
  });
  return {
    source: { directory: before.directory, digest: before.digest, bytes: await decoderBytes(before) },
    output: { directory: after.directory, digest: after.digest, bytes: await decoderBytes(after) },
    bits,
    blockSize,
    head,
    weights: note.weights.length,
    comparison,
  };
}

function encode({ tokenizer, config }: Package, text: MeasuredText): ComparedText {
  if ('text' in text) return { tokens: tokenizer.encodeText(text.text), firstTarget: 1 };
  const { tokens: prompt, end } = encodePrompt(tokenizer, config, text.prompt);
  return { tokens: [...prompt, ...tokenizer.encodeCompletion(text.completion), end], firstTarget: prompt.length };
}

/** Encodes a prompt, with the token that ends an answer to it. */
function encodePrompt(
  tokenizer: PackageTokenizer,
  { turnEndTokenId, textEndTokenId }: DecoderConfig,
  content: string,
): { readonly tokens: number[]; readonly end: number } {
  try {
    return { tokens: tokenizer.encodeChat([{ role: 'user', content }]), end: turnEndTokenId };
  } catch {
    // A package without a chat template completes plain text.
    return { tokens: tokenizer.encodeText(content), end: textEndTokenId };
  }
}

async function decoderBytes({ directory, modelPath }: Package): Promise<number> {
  const graph = await readModel(modelPath);
  const locations = new Set<string>();
  for (const { data } of graph.initializers.values()) if (isExternal(data)) locations.add(data.location);
  const paths = [modelPath, ...[...locations].map((location) => join(directory, 'onnx', location))];
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
