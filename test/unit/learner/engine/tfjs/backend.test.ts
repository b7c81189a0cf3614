/** Which TF.js is loaded, and the errors if none is. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../../../../src/learner/engine/open-engine.js';
import { openTfjs } from '../../../../../src/learner/engine/tfjs/backend.js';
import { checkLearnerSettings } from '../../../../../src/learner/index.js';
import { temporaryFolder } from '../../../../support/folders.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});

describe('opening TF.js', () => {
  it('states what to install if no package is installed', async () => {
    await expect(openTfjs({ folder, threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('npm install @tensorflow/tfjs-node-gpu'),
    });
  });

  it('names the packages of a backend that is not installed', async () => {
    await expect(openTfjs({ folder, backend: 'wasm', threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm'),
    });
  });

  it('refuses a native package that does not load, with how to build its addon', async () => {
    const broken = join(folder, 'node_modules/@tensorflow/tfjs-node');
    mkdirSync(broken, { recursive: true });
    writeFileSync(join(broken, 'index.js'), "throw new Error('the addon is not there');\n");
    await expect(openTfjs({ folder, threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(
        /tfjs-node is installed but does not load on Node v\d\S+: the addon is not there\n.*npm install-scripts approve @tensorflow\/tfjs-node.*hone tfjs-setup/,
      ),
    });
  });

  it('refuses a native package that loads but cannot compute', async () => {
    const broken = join(folder, 'left-behind');
    const index = join(broken, 'node_modules/@tensorflow/tfjs-node/index.js');
    mkdirSync(dirname(index), { recursive: true });
    const fail = "() => { throw new TypeError('util.isGone is not a function'); }";
    writeFileSync(index, `module.exports = { enableProdMode() {}, setBackend: async () => true, tidy: ${fail} };\n`);
    await expect(openTfjs({ folder: broken, threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(
        /tfjs-node is installed but does not compute on Node v\d\S+: util\.isGone is not a function\n.*--learner-engine onnx/,
      ),
    });
  });

  it('refuses a device that TF.js does not run on', async () => {
    await expect(openTfjs({ device: 'coreml', threads: 1 })).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  });

  it('refuses cuda if only the CPU is available', async () => {
    await expect(openTfjs({ backend: 'cpu', device: 'cuda', threads: 1 })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
    });
  });

  it('happens when the settings of the learner name tfjs', async () => {
    const settings = checkLearnerSettings({ engine: 'tfjs', device: 'webgpu' });
    await expect(openEngine({ packageDirectory: folder, settings })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('tfjs'),
    });
  });

  it('finds the packages that are installed beside Hone', async () => {
    const { tf, backend } = await openTfjs({ backend: 'cpu', threads: 1 });
    expect(backend).toBe('cpu');
    expect(tf.getBackend()).toBe('cpu');
    expect(Array.from(tf.add(1, 2).dataSync())).toEqual([3]);
  });
});
