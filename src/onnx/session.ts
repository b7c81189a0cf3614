/**
 * Runs a graph with onnxruntime.
 *
 * Inline weights travel as bytes. Weights in external files are mapped by onnxruntime from a path, so such a graph is
 * written into a folder of its own with links to the data files (onnxruntime refuses data outside the model's folder).
 */

import { copyFile, link, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import { encodeModel } from './codec.js';
import { Graph } from './graph.js';
import { isExternal } from './tensor.js';

interface SessionOptions {
  /** Intra-op threads of the session's pool. */
  readonly threads: number;
  /** Whether idle pool threads spin; faster alone, ruinous beside a busy neighbour. Default false. */
  readonly spin?: boolean;
  /** Whether weights are repacked at load: faster products, a private copy. Default true. */
  readonly prepack?: boolean;
  /** Whether buffers are planned ahead per input shape; costs memory in large graphs. Default false. */
  readonly memoryPattern?: boolean;
  /** Execution providers, the most wanted first; cpu takes what they leave. Default cpu alone. */
  readonly providers?: readonly InferenceSession.ExecutionProviderConfig[];
}

/** Creates a session for a graph whose nodes are sorted. @throws HoneError `MODEL_INVALID` with onnxruntime's message */
export async function createSession(graph: Graph, options: SessionOptions): Promise<InferenceSession> {
  const sessionOptions = toSessionOptions(options);
  const locations = new Set<string>();
  for (const { data } of graph.initializers.values()) if (isExternal(data)) locations.add(data.location);
  const bytes = encodeModel(graph);
  try {
    if (locations.size === 0) return await InferenceSession.create(bytes, sessionOptions);
    return await createFromFolder(graph, bytes, locations, sessionOptions);
  } catch (cause) {
    throw refusedBy(cause, 'the graph');
  }
}

/** A session for the model file at `path` as it is. @throws HoneError `MODEL_INVALID` with onnxruntime's message */
export async function openSession(path: string, options: SessionOptions): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(path, toSessionOptions(options));
  } catch (cause) {
    throw refusedBy(cause, 'the model');
  }
}

/**
 * Starts onnxruntime itself, for which the first session of a process waits; later ones, in whichever thread, find it
 * started. Never rejects: where it cannot be started, sessions say so.
 */
export async function startRuntime(): Promise<void> {
  const graph = new Graph();
  graph.inputs.set('x', { type: 'float32', dims: [1] });
  graph.add('Identity', ['x'], { outputs: ['y'] });
  graph.outputs.set('y', null);
  try {
    await (await createSession(graph, { threads: 1 })).release();
  } catch {
    // Said by the session that somebody waits for.
  }
}

function toSessionOptions(options: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: options.providers ?? ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    enableMemPattern: options.memoryPattern ?? false,
    logSeverityLevel: 3,
    extra: {
      session: {
        intra_op: { allow_spinning: options.spin ? '1' : '0' },
        disable_prepacking: (options.prepack ?? true) ? '0' : '1',
      },
    },
  };
}

function refusedBy(cause: unknown, what: string): HoneError {
  const message = `onnxruntime refuses ${what}: ${cause instanceof Error ? cause.message : cause}`;
  return new HoneError('MODEL_INVALID', message, { cause });
}

async function createFromFolder(
  graph: Graph,
  bytes: Uint8Array,
  locations: ReadonlySet<string>,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  if (graph.directory === null) throw new HoneError('MODEL_INVALID', 'a graph with external data has no folder');
  const folder = await mkdtemp(join(tmpdir(), 'hone-graph-'));
  try {
    for (const location of locations) {
      // A download cache holds links, which a hard link would copy as such.
      const source = await realpath(join(graph.directory, location));
      // A hard link shares the page cache with the server; another file system needs a copy.
      await link(source, join(folder, location)).catch(() => copyFile(source, join(folder, location)));
    }
    const path = join(folder, 'model.onnx');
    await writeFile(path, bytes);
    return await InferenceSession.create(path, options);
  } finally {
    // The mapping outlives the names.
    await rm(folder, { recursive: true, force: true });
  }
}
