/**
 * Reads `onnx/model.onnx` of a package and checks it against `config.json`, so that a decoder that cannot work is
 * refused at start, with the file, the reason and the remedy.
 */

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { createSession, elementCount, type Graph, isExternal, readModel } from '../onnx/index.js';
import { fuseAttention } from './attention/fuse-attention.js';
import { checkAttention, checkFlow, checkInterface, checkWeights } from './decoder-checks.js';
import { checkExternalData } from './external-data.js';
import { invalidPackage, isLfsPointer, lfsPointer } from './files.js';
import { checkLengths } from './length-checks.js';
import { checkHasAttention, findAttention, findHead } from './lowering.js';
import { normalizeDecoder } from './normalize.js';
import { followTokens } from './token-flow.js';
import type { DecoderConfig } from './types.js';
import { checkWindows } from './windows.js';

/** The decoder's path in a package. */
export const modelFile = 'onnx/model.onnx';

/**
 * Reads the decoder of a package and checks that Hone can serve it with this configuration.
 * @throws HoneError `PACKAGE_INVALID` if the file is damaged or does not fit `config.json`, `OPERATOR_UNSUPPORTED` if
 * the decoder has a form that Hone does not read; both name the file
 * @param model the file's content, if it was read before. It is not changed
 */
export async function readDecoderFile(root: string, config: DecoderConfig, model?: Graph): Promise<Graph> {
  const source = await decode(root, model);
  await checkExternalData(root, source);
  const refuse = (problem: string): HoneError => invalidPackage(root, modelFile, problem);
  // This comes first, because a decoder without this attention has other cache names too, which would be reported
  // instead.
  const fused = await withFileNamed(root, () => fuseAttention(source));
  await withFileNamed(root, () => checkHasAttention(fused));
  const graph = await withFileNamed(root, () => normalizeDecoder(fused));
  checkInterface(graph, config, refuse);
  checkWeights(graph, config, refuse);
  const sites = await withFileNamed(root, () => findAttention(graph));
  checkAttention(sites, config, refuse);
  checkWindows(source, sites, config, refuse);
  await withFileNamed(root, () => findHead(graph));
  await checkRunnable(root, graph);
  checkFlow(await withFileNamed(root, () => followTokens(graph, sites)), config, refuse);
  await withFileNamed(root, () => checkLengths(graph, sites));
  return graph;
}

async function decode(root: string, model: Graph | undefined): Promise<Graph> {
  try {
    const graph = model ?? (await readModel(join(root, modelFile)));
    checkOneProducer(graph);
    // Pruning sorts the nodes, which fails on cycles and on values without a source.
    graph.clone().prune();
    return graph;
  } catch (cause) {
    const { code, message } = HoneError.from(cause);
    if (code === 'OPERATOR_UNSUPPORTED') throw errorWithFile(root, cause);
    throw invalidPackage(root, modelFile, await explain(root, message), cause);
  }
}

/** Later edits look values up by name, so that a name with two sources would be ambiguous. */
function checkOneProducer(graph: Graph): void {
  const seen = new Set<string>([...graph.inputs.keys(), ...graph.initializers.keys()]);
  for (const { name, outputs } of graph.nodes) {
    for (const output of outputs) {
      if (output === '') continue;
      if (seen.has(output))
        throw new HoneError(
          'MODEL_INVALID',
          `the value ${output} has more than one source, of which the last one is ${name}`,
        );
      seen.add(output);
    }
  }
}

async function explain(root: string, problem: string): Promise<string> {
  const head = await firstBytes(join(root, modelFile));
  if (head === null) return 'cannot be read; a package holds its float32 decoder in onnx/model.onnx: export or copy it';
  if (isLfsPointer(head)) return lfsPointer;
  return `${problem}; download or export the model again, as text-generation-with-past in float32`;
}

async function firstBytes(path: string): Promise<string | null> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } catch {
    return null;
  }
}

/** Adds the file to errors about the graph. */
async function withFileNamed<Result>(root: string, look: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await look();
  } catch (cause) {
    throw errorWithFile(root, cause);
  }
}

function errorWithFile(root: string, cause: unknown): HoneError {
  const { code, message } = HoneError.from(cause);
  return new HoneError(code, `${join(root, modelFile)}: ${message}`, { cause });
}

/** Number of elements. Larger weights become inputs for the check, which does not depend on their values. */
const largestKeptTensor = 1024;

/**
 * Lets onnxruntime check the graph for unknown operators and for types and shapes that do not fit. Without the weights
 * this takes milliseconds, however large the model is.
 */
async function checkRunnable(root: string, graph: Graph): Promise<void> {
  const bare = graph.clone();
  for (const [name, tensor] of graph.initializers) {
    if (!isExternal(tensor.data) && elementCount(tensor.dims) <= largestKeptTensor) continue;
    bare.initializers.delete(name);
    bare.inputs.set(name, { type: tensor.type, dims: tensor.dims });
  }
  bare.prune();
  try {
    await (await createSession(bare, { threads: 1, prepack: false })).release();
  } catch (cause) {
    const { message } = HoneError.from(cause);
    throw invalidPackage(
      root,
      modelFile,
      `${message}; export the model again with operators of ai.onnx and com.microsoft that this onnxruntime knows`,
      cause,
    );
  }
}
