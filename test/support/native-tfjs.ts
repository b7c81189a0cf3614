/**
 * A stand-in for the package `@tensorflow/tfjs-node`, whose addon needs a TensorFlow. Its kernels are those of plain
 * TF.js. Before each kernel it calls the same functions of Node's `util` as the real package, in the same compiled form.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findModule } from '../../src/learner/engine/tfjs/backend.js';

const index = (tfjs: string): string => `'use strict';
var util_1 = require('util');
var tf = require(${JSON.stringify(tfjs)});
tf.registerBackend('tensorflow', function () {
  var backend = tf.findBackendFactory('cpu')();
  backend.binding = { TF_Version: 'none' };
  backend.isUsingGpuDevice = false;
  return backend;
}, 3);
tf.getKernelsForBackend('cpu').forEach(function (kernel) {
  tf.registerKernel(Object.assign({}, kernel, {
    backendName: 'tensorflow',
    kernelFunc: function (args) {
      if ((0, util_1.isNullOrUndefined)(args.inputs) || (0, util_1.isArray)(args.inputs)) throw new Error('Invalid inputs.');
      return kernel.kernelFunc(args);
    },
  }));
});
tf.setBackend('tensorflow');
module.exports = tf;
`;

/** Writes the package into a folder's node_modules. */
export function placeNativeTfjs(folder: string): void {
  const directory = join(folder, 'node_modules/@tensorflow/tfjs-node');
  mkdirSync(directory, { recursive: true });
  const manifest = { name: '@tensorflow/tfjs-node', version: '4.22.0', binary: { napi_versions: [3, 8] } };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(directory, 'index.js'), index(findModule('@tensorflow/tfjs') as string));
}
