/**
 * Finds and loads TF.js, which is not part of Hone: the first of these that the user has installed.
 *
 * | backend    | packages                                                | computes with                                    |
 * | ---------- | ------------------------------------------------------- | ------------------------------------------------ |
 * | `node-gpu` | `@tensorflow/tfjs-node-gpu`                             | TensorFlow, on an NVIDIA GPU                     |
 * | `node`     | `@tensorflow/tfjs-node`                                 | TensorFlow: CPU, or what its library was made for |
 * | `wasm`     | `@tensorflow/tfjs` and `@tensorflow/tfjs-backend-wasm`  | WebAssembly, one thread                          |
 * | `cpu`      | `@tensorflow/tfjs`                                      | plain JavaScript                                 |
 *
 * TF.js has one engine and one active backend per process, whatever is loaded: a process stays with the one that it
 * opened first.
 */

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { HoneError } from '../../../errors.js';
import type { TensorFlow } from './values.js';

export const tfjsBackends = ['node-gpu', 'node', 'wasm', 'cpu'] as const;
export type TfjsBackend = (typeof tfjsBackends)[number];

/** Packages of each backend; the first is the library, the others register themselves with it. */
const packages = {
  'node-gpu': ['@tensorflow/tfjs-node-gpu'],
  node: ['@tensorflow/tfjs-node'],
  wasm: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
  cpu: ['@tensorflow/tfjs'],
} as const satisfies Record<TfjsBackend, readonly string[]>;

const registeredNames = { 'node-gpu': 'tensorflow', node: 'tensorflow', wasm: 'wasm', cpu: 'cpu' } as const;

export interface TfjsBackendOptions {
  /** One backend. Default: the first that is installed, in the order of {@link tfjsBackends}. */
  readonly backend?: TfjsBackend;
  /** A folder whose node_modules holds the packages. Default: beside Hone, then the working directory. */
  readonly folder?: string;
  /** Threads of TensorFlow's kernels, where the process has not loaded it yet. */
  readonly threads: number;
}

export interface OpenedTfjs {
  readonly tf: TensorFlow;
  readonly backend: TfjsBackend;
}

/** @throws HoneError `ENGINE_UNAVAILABLE` when none is installed or the one that is does not load */
export async function openTfjs(options: TfjsBackendOptions): Promise<OpenedTfjs> {
  const candidates = options.backend === undefined ? tfjsBackends : [options.backend];
  for (const backend of candidates) {
    const paths = packages[backend].map((name) => findModule(name, options.folder));
    if (paths.every((path) => path !== undefined)) return { backend, tf: await load(backend, paths, options.threads) };
  }
  const missing = options.backend === undefined ? undefined : packages[options.backend].join(' and ');
  throw new HoneError(
    'ENGINE_UNAVAILABLE',
    missing === undefined
      ? 'the tfjs engine needs TF.js, which is not installed; run `npm install @tensorflow/tfjs-node-gpu` (NVIDIA), `npm install @tensorflow/tfjs-node` (CPU) or `npm install @tensorflow/tfjs` (slow) beside hone: docs/tfjs.md'
      : `the ${options.backend} backend of TF.js is not installed; run \`npm install ${missing.replace(' and ', ' ')}\` beside hone: docs/tfjs.md`,
  );
}

/** Where a package would be loaded from, or undefined. */
export function findModule(name: string, folder?: string): string | undefined {
  const places = folder === undefined ? [import.meta.url, join(process.cwd(), '_')] : [join(resolve(folder), '_')];
  for (const place of places) {
    try {
      return createRequire(place).resolve(name);
    } catch {
      // Not there: the next place.
    }
  }
  return undefined;
}

async function load(backend: TfjsBackend, paths: readonly string[], threads: number): Promise<TensorFlow> {
  if (registeredNames[backend] === 'tensorflow') prepareTensorFlow(threads);
  try {
    const require = createRequire(import.meta.url);
    const [tf] = paths.map((path) => require(path)) as [TensorFlow];
    // No advertising of the native package, and no search for NaN after each operator: the learner does that once.
    tf.enableProdMode();
    if (await tf.setBackend(registeredNames[backend])) return tf;
    throw new Error('TF.js refuses the backend');
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const native = registeredNames[backend] === 'tensorflow';
    throw new HoneError(
      'ENGINE_UNAVAILABLE',
      `${packages[backend][0]} is installed but does not load: ${message.trim()}${native ? '\nIf its native addon is missing or does not fit, `hone tfjs-setup` builds it against a TensorFlow of yours: docs/tfjs.md' : ''}`,
      { cause },
    );
  }
}

/** TensorFlow takes both from the environment and from nowhere else, when it is loaded. What the user has set stays. */
function prepareTensorFlow(threads: number): void {
  // biome-ignore lint/style/noProcessEnv: the library has no other way to be told
  const environment = process.env;
  environment.TF_NUM_INTRAOP_THREADS ??= String(threads);
  environment.TF_NUM_INTEROP_THREADS ??= '1';
  environment.TF_CPP_MIN_LOG_LEVEL ??= '1';
}
