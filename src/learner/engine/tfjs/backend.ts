/**
 * Finds and loads TF.js, which is not part of Hone: the first of these backends that the user has installed.
 *
 * | backend    | packages                                                | computes with                                    |
 * | ---------- | ------------------------------------------------------- | ------------------------------------------------ |
 * | `node-gpu` | `@tensorflow/tfjs-node-gpu`                             | TensorFlow, on an NVIDIA GPU                     |
 * | `node`     | `@tensorflow/tfjs-node`                                 | TensorFlow: CPU, or what its library was built for |
 * | `wasm`     | `@tensorflow/tfjs` and `@tensorflow/tfjs-backend-wasm`  | WebAssembly, one thread                          |
 * | `cpu`      | `@tensorflow/tfjs`                                      | plain JavaScript                                 |
 *
 * TF.js has one engine and one active backend per process, so a process must stay with the backend that it opened
 * first.
 */

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { HoneError } from '../../../errors.js';
import type { Device } from '../names.js';
import { restoreRemovedUtil } from './removed-util.js';
import type { TensorFlow } from './values.js';

const tfjsBackends = ['node-gpu', 'node', 'wasm', 'cpu'] as const;
export type TfjsBackend = (typeof tfjsBackends)[number];

/** Packages of each backend; the first is the library, the others register themselves with it. */
const packages = {
  'node-gpu': ['@tensorflow/tfjs-node-gpu'],
  node: ['@tensorflow/tfjs-node'],
  wasm: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
  cpu: ['@tensorflow/tfjs'],
} as const satisfies Record<TfjsBackend, readonly string[]>;

/**
 * The backends that are tried for a device, in order. {@link prepareTensorFlow} tells the native packages the device.
 */
const byDevice: Partial<Record<Device, readonly TfjsBackend[]>> = {
  auto: tfjsBackends,
  cuda: ['node-gpu', 'node'],
  cpu: ['node', 'node-gpu', 'wasm', 'cpu'],
};

const registeredNames = { 'node-gpu': 'tensorflow', node: 'tensorflow', wasm: 'wasm', cpu: 'cpu' } as const;

export interface TfjsBackendOptions {
  /** One backend. Default: the first that is installed of those that run on the device. */
  readonly backend?: TfjsBackend;
  /**
   * `cpu` hides every GPU from TensorFlow, `cuda` refuses to run without one. Default `auto`: a GPU if TensorFlow finds
   * one, in the order of {@link tfjsBackends}.
   */
  readonly device?: Device;
  /** A folder whose node_modules holds the packages. Default: beside Hone, then the working directory. */
  readonly folder?: string;
  /** Threads of TensorFlow's kernels; ignored if the process has loaded TensorFlow already. */
  readonly threads: number;
}

export interface OpenedTfjs {
  readonly tf: TensorFlow;
  readonly backend: TfjsBackend;
}

/**
 * @throws HoneError `ENGINE_UNAVAILABLE` if no backend is installed or the installed one does not load,
 * `DEVICE_UNAVAILABLE` for a device that TF.js does not run on in Node or that TensorFlow does not find
 */
export async function openTfjs(options: TfjsBackendOptions): Promise<OpenedTfjs> {
  const { device = 'auto' } = options;
  const candidates = options.backend === undefined ? byDevice[device] : [options.backend];
  if (candidates === undefined) {
    throw new HoneError(
      'DEVICE_UNAVAILABLE',
      `the tfjs engine does not run on ${device}: use --learner-device cpu, cuda or auto`,
    );
  }
  for (const backend of candidates) {
    const paths = packages[backend].map((name) => findModule(name, options.folder));
    if (!paths.every((path) => path !== undefined)) continue;
    const tf = await load(backend, paths, device, options.threads);
    if (device === 'cuda' && !usesGpu(tf)) {
      throw new HoneError(
        'DEVICE_UNAVAILABLE',
        `TensorFlow under ${packages[backend][0]} finds no CUDA device or was built for the CPU: docs/tfjs.md`,
      );
    }
    return { backend, tf };
  }
  const missing = options.backend === undefined ? undefined : packages[options.backend].join(' and ');
  throw new HoneError(
    'ENGINE_UNAVAILABLE',
    missing === undefined
      ? 'the tfjs engine needs TF.js, which is not installed; run `npm install @tensorflow/tfjs-node-gpu` (NVIDIA), `npm install @tensorflow/tfjs-node` (CPU) or `npm install @tensorflow/tfjs` (slow) beside hone: docs/tfjs.md'
      : `the ${options.backend} backend of TF.js is not installed; run \`npm install ${missing.replace(' and ', ' ')}\` beside hone: docs/tfjs.md`,
  );
}

/** The path that a package would be loaded from, or undefined. */
export function findModule(name: string, folder?: string): string | undefined {
  const places = folder === undefined ? [import.meta.url, join(process.cwd(), '_')] : [join(resolve(folder), '_')];
  for (const place of places) {
    try {
      return createRequire(place).resolve(name);
    } catch {
      // The package is not there: try the next place.
    }
  }
  return undefined;
}

/** Whether the backend of the native packages reports a GPU. */
function usesGpu(tf: TensorFlow): boolean {
  return (tf.backend() as { readonly isUsingGpuDevice?: boolean }).isUsingGpuDevice === true;
}

async function load(
  backend: TfjsBackend,
  paths: readonly string[],
  device: Device,
  threads: number,
): Promise<TensorFlow> {
  const native = registeredNames[backend] === 'tensorflow';
  if (native) {
    prepareTensorFlow(device, threads);
    restoreRemovedUtil();
  }
  let step: keyof typeof remedies = 'load';
  try {
    const require = createRequire(import.meta.url);
    const [tf] = paths.map((path) => require(path)) as [TensorFlow];
    // Turns off the hint to install the native package, and the search for NaN after each operator: the learner does
    // that once per step.
    tf.enableProdMode();
    if (!(await tf.setBackend(registeredNames[backend]))) throw new Error('TF.js refuses the backend');
    // A package that is too old for this Node may load and then fail at each operator: find out here, not in a round.
    step = 'compute';
    tf.tidy(() => tf.matMul([[1, 2]], [[3], [4]]).dataSync());
    return tf;
  } catch (cause) {
    const [name] = packages[backend];
    const message = cause instanceof Error ? cause.message : String(cause);
    const remedy = step === 'load' && !native ? '' : `\n${remedies[step](name)}`;
    throw new HoneError(
      'ENGINE_UNAVAILABLE',
      `${name} is installed but does not ${step} on Node ${process.version}: ${message.trim()}${remedy}`,
      { cause },
    );
  }
}

/** What the user can do if a package fails to load or to compute. Only the native packages have trouble loading. */
const remedies = {
  load: (name: string): string =>
    `If its addon is missing because npm kept its install script from running (npm 12 asks first), run \`npm install-scripts approve ${name}\` and \`npm rebuild ${name}\`; \`hone tfjs-setup\` builds the addon against a TensorFlow of yours: docs/tfjs.md`,
  compute: (): string =>
    'Use a Node that docs/tfjs.md names, or --learner-engine onnx; `hone tfjs-setup` builds an addon of your own again',
} as const;

/** Sets what TensorFlow reads from the environment when it is loaded, and from nowhere else. The user's values stay. */
function prepareTensorFlow(device: Device, threads: number): void {
  // biome-ignore lint/style/noProcessEnv: the library reads these from nowhere else
  const environment = process.env;
  if (device === 'cpu') environment.CUDA_VISIBLE_DEVICES = '-1';
  environment.TF_NUM_INTRAOP_THREADS ??= String(threads);
  environment.TF_NUM_INTEROP_THREADS ??= '1';
  environment.TF_CPP_MIN_LOG_LEVEL ??= '1';
}
