/**
 * Opens a graph or a model file in onnxruntime.
 *
 * A graph with inline weights is passed as bytes. onnxruntime maps weights in external files from a path and refuses
 * data outside the model's folder, so such a graph is written into a folder of its own, with links to the data files.
 */

import { copyFile, link, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import { encodeModel } from './codec.js';
import { Graph } from './graph.js';
import { isExternal } from './tensor.js';

interface SessionOptions {
  /** Intra-op threads of the session's pool. */
  readonly threads: number;
  /** Whether idle pool threads spin: faster on an idle machine, very slow beside a busy process. Default false. */
  readonly spin?: boolean;
  /** Whether weights are repacked at load: products are faster, but the weights are copied. Default true. */
  readonly prepack?: boolean;
  /** Whether buffers are planned ahead for each input shape, which costs memory in large graphs. Default false. */
  readonly memoryPattern?: boolean;
  /** Whether the graph is rewritten at load, which pays if it runs more than a few times. Default true. */
  readonly optimize?: boolean;
  /** Whether errors of a run are left to whoever catches them, and not printed too. Default false. */
  readonly quiet?: boolean;
  /** Execution providers in order of preference; the cpu computes the nodes that they lack. Default: the cpu only. */
  readonly providers?: readonly InferenceSession.ExecutionProviderConfig[];
}

/** Opens a session for a graph whose nodes are sorted. @throws HoneError `MODEL_INVALID` with onnxruntime's message */
export async function createSession(graph: Graph, options: SessionOptions): Promise<InferenceSession> {
  const sessionOptions = toSessionOptions(options);
  const locations = new Set<string>();
  for (const { data } of graph.initializers.values()) if (isExternal(data)) locations.add(data.location);
  const bytes = encodeModel(graph);
  try {
    if (locations.size === 0) return await InferenceSession.create(bytes, sessionOptions);
    if (graph.directory === null) throw new HoneError('MODEL_INVALID', 'a graph with external data has no folder');
    return await createFromFolder(graph.directory, (path) => writeFile(path, bytes), locations, sessionOptions);
  } catch (cause) {
    throw refusedBy(cause, 'the graph');
  }
}

/**
 * Opens a session for the model file at `path`, unchanged.
 * @param locations the data files beside it, which may be links to elsewhere
 * @throws HoneError `MODEL_INVALID` with onnxruntime's message
 */
export async function openSession(
  path: string,
  options: SessionOptions,
  locations: ReadonlySet<string> = new Set(),
): Promise<InferenceSession> {
  try {
    const sessionOptions = toSessionOptions(options);
    if (locations.size === 0) return await InferenceSession.create(path, sessionOptions);
    return await createFromFolder(dirname(path), (place) => linkFile(path, place), locations, sessionOptions);
  } catch (cause) {
    throw refusedBy(cause, 'the model');
  }
}

/**
 * Starts onnxruntime itself, which otherwise delays the first session of a process; later sessions of any thread find
 * it started. It never rejects: if onnxruntime cannot start, the next session reports that.
 */
export async function startRuntime(): Promise<void> {
  const graph = new Graph();
  graph.inputs.set('x', { type: 'float32', dims: [1] });
  graph.add('Identity', ['x'], { outputs: ['y'] });
  graph.outputs.set('y', null);
  try {
    await (await createSession(graph, { threads: 1 })).release();
  } catch {
    // The next session reports the error.
  }
}

function toSessionOptions(options: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: options.providers ?? ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    enableMemPattern: options.memoryPattern ?? false,
    graphOptimizationLevel: (options.optimize ?? true) ? 'all' : 'disabled',
    logSeverityLevel: options.quiet ? 4 : 3,
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
  directory: string,
  putModel: (path: string) => Promise<void>,
  locations: ReadonlySet<string>,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  const folder = await mkdtemp(join(tmpdir(), 'hone-graph-'));
  try {
    for (const location of locations) await linkFile(join(directory, location), join(folder, location));
    const path = join(folder, 'model.onnx');
    await putModel(path);
    return await InferenceSession.create(path, options);
  } finally {
    // onnxruntime has mapped the files, and a mapping stays valid after its file is removed.
    await rm(folder, { recursive: true, force: true });
  }
}

async function linkFile(path: string, place: string): Promise<void> {
  // Resolve symbolic links first, as in a download cache: a hard link would point at the link.
  const source = await realpath(path);
  // A hard link shares the page cache with the server. On another file system only a copy works.
  await link(source, place).catch(() => copyFile(source, place));
}
