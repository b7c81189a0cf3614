/**
 * Builds the native addon of tfjs-node against the user's TensorFlow.
 *
 * The packages on npm download TensorFlow 2.9 of 2022, built for CUDA 11.2, when they are installed. The addon itself
 * is two C++ files over TensorFlow's C API, which is stable. A wheel of Python's `tensorflow` contains the API's
 * headers (`include/`) and the library that implements it (`libtensorflow_cc.so.2`). So one call of the compiler lets
 * tfjs-node use a current TensorFlow, with the CUDA of that wheel.
 */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HoneError } from '../../../errors.js';
import type { AddonTrial } from './addon-trial-process.js';
import { findModule } from './backend.js';

interface AddonRequest {
  /** The folder of the Python package `tensorflow`, or the folder that holds it. */
  readonly tensorflow: string;
  /** A folder whose node_modules holds tfjs-node. Default: beside Hone, then the working directory. */
  readonly folder?: string;
  /** Default `g++`. */
  readonly compiler?: string;
  readonly onStage?: (stage: 'compiling' | 'checking') => void;
}

export interface AddonReport {
  /** `@tensorflow/tfjs-node` or `@tensorflow/tfjs-node-gpu`, and its version. */
  readonly package: string;
  readonly version: string;
  /** The path of the addon. */
  readonly addon: string;
  /** The folder that the addon loads TensorFlow from. */
  readonly tensorflow: string;
  /** The version that TensorFlow reports. */
  readonly tensorflowVersion: string;
  /** Whether TensorFlow found a GPU. */
  readonly gpu: boolean;
}

const libraries = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
const headers = ['tensorflow/c/c_api.h', 'tensorflow/c/eager/c_api.h'];
const trialProcess = fileURLToPath(new URL('./addon-trial-process.js', import.meta.url));
const sources = ['binding/tfjs_backend.cc', 'binding/tfjs_binding.cc'];

interface TfjsNode {
  readonly directory: string;
  readonly name: string;
  readonly version: string;
  readonly napiVersion: number;
}

/**
 * Compiles the addon into the package's folder and multiplies two matrices with it in a child process. If that fails,
 * the addon that was there before is put back.
 * @throws HoneError `INVALID_OPTIONS` for a folder that is not TensorFlow's, `ENGINE_UNAVAILABLE` if a part is missing
 * or does not work
 */
export async function buildTfjsAddon(request: AddonRequest): Promise<AddonReport> {
  if (process.platform !== 'linux') {
    throw new HoneError(
      'ENGINE_UNAVAILABLE',
      `the addon is built on Linux only, this is ${process.platform}; npm install @tensorflow/tfjs-node fetches a prebuilt one`,
    );
  }
  const tensorflow = findTensorFlow(request.tensorflow);
  const tfjsNode = findTfjsNode(request.folder);
  const nodeHeaders = findNodeHeaders(request.folder);
  const addon = join(tfjsNode.directory, 'lib', `napi-v${tfjsNode.napiVersion}`, 'tfjs_binding.node');
  const [made, before] = [`${addon}.new`, `${addon}.before`];
  await mkdir(dirname(addon), { recursive: true });
  request.onStage?.('compiling');
  try {
    await compile(request.compiler ?? 'g++', [
      ...['-shared', '-fPIC', '-O2', '-std=c++17', `-DNAPI_VERSION=${tfjsNode.napiVersion}`],
      ...[`-I${join(tensorflow, 'include')}`, `-I${nodeHeaders}`, `-I${tfjsNode.directory}`],
      ...sources.map((source) => join(tfjsNode.directory, source)),
      ...['-o', made, `-L${tensorflow}`, ...libraries.map((library) => `-l:${library}`), `-Wl,-rpath,${tensorflow}`],
    ]);
    if (existsSync(addon)) await rename(addon, before);
    await rename(made, addon);
    request.onStage?.('checking');
    const { tensorflowVersion, gpu } = await check(tfjsNode.directory);
    const { name, version } = tfjsNode;
    return { package: name, version, addon, tensorflow, tensorflowVersion, gpu };
  } catch (error) {
    await rm(made, { force: true });
    if (existsSync(before)) await rename(before, addon);
    else await rm(addon, { force: true });
    throw error;
  } finally {
    await rm(before, { force: true });
  }
}

function findTensorFlow(given: string): string {
  const folder = [resolve(given), resolve(given, 'tensorflow')].find((place) =>
    libraries.every((library) => existsSync(join(place, library))),
  );
  if (folder === undefined) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `${resolve(given)} does not hold ${libraries.join(' and ')}; give the folder of an installed tensorflow package: python3 -c "import tensorflow; print(tensorflow.__path__[0])" prints it`,
    );
  }
  const missing = headers.find((header) => !existsSync(join(folder, 'include', header)));
  if (missing !== undefined) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `${join(folder, 'include', missing)} is missing; the headers of TensorFlow's C API come with its wheel: pip install --force-reinstall tensorflow`,
    );
  }
  return folder;
}

function findTfjsNode(folder: string | undefined): TfjsNode {
  const found = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']
    .map((name) => findModule(`${name}/package.json`, folder))
    .find((path) => path !== undefined);
  if (found === undefined) {
    throw new HoneError(
      'ENGINE_UNAVAILABLE',
      `@tensorflow/tfjs-node is not installed${folder === undefined ? ' beside hone or in this folder' : ` in ${resolve(folder)}`}; run \`npm install --ignore-scripts @tensorflow/tfjs-node\` there first`,
    );
  }
  const { name, version, binary } = JSON.parse(readFileSync(found, 'utf8')) as {
    name: string;
    version: string;
    binary: { napi_versions: number[] };
  };
  const known = binary.napi_versions.filter((napi) => napi <= Number(process.versions.napi));
  return { directory: dirname(found), name, version, napiVersion: Math.max(...known) };
}

/** The folder with node_api.h: beside Node, of the system, or of the package that contains these headers only. */
function findNodeHeaders(folder: string | undefined): string {
  const prefixes = [dirname(dirname(process.execPath)), '/usr', '/usr/local'];
  const carried = findModule('node-api-headers/package.json', folder);
  const places = prefixes.map((prefix) => join(prefix, 'include/node'));
  if (carried !== undefined) places.push(join(dirname(carried), 'include'));
  const found = places.find((place) => existsSync(join(place, 'node_api.h')));
  if (found !== undefined) return found;
  throw new HoneError(
    'ENGINE_UNAVAILABLE',
    `node_api.h is in none of ${places.join(', ')}; run \`npm install node-api-headers\` beside tfjs-node`,
  );
}

async function compile(compiler: string, args: readonly string[]): Promise<void> {
  const { code, output } = await run(compiler, args);
  if (code === 0) return;
  throw new HoneError('ENGINE_UNAVAILABLE', `${compiler} could not build the addon:\n${output.slice(-4000).trim()}`);
}

/** Tries the addon in a child process, because an addon that does not fit may end its process. */
async function check(directory: string): Promise<Pick<AddonReport, 'tensorflowVersion' | 'gpu'>> {
  const { code, output } = await run(process.execPath, [trialProcess, directory]);
  const line = output.split('\n').find((text) => text.startsWith('{"values":'));
  if (code !== 0 || line === undefined) {
    throw new HoneError(
      'ENGINE_UNAVAILABLE',
      `the addon was built but does not load and multiply on Node ${process.version}:\n${output.slice(-4000).trim()}`,
    );
  }
  const { values, ...report } = JSON.parse(line) as AddonTrial;
  if (values.join() !== '19,22,43,50') {
    throw new HoneError(
      'ENGINE_UNAVAILABLE',
      `the addon multiplies wrongly: ${values.join(' ')} in place of 19 22 43 50`,
    );
  }
  return report;
}

/** Runs a program; returns its exit code and output. @throws HoneError `ENGINE_UNAVAILABLE` if it cannot be run */
function run(program: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data));
    child.once('error', (cause) => {
      fail(
        new HoneError(
          'ENGINE_UNAVAILABLE',
          `${program} cannot be run (${cause.message}); a C++ compiler is needed: on Debian and Ubuntu, apt install g++`,
          { cause },
        ),
      );
    });
    child.once('close', (code) => done({ code, output }));
  });
}
