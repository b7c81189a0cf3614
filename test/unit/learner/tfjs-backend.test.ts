/** Which TF.js is taken, and what is said where there is none. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src/learner/engine/open-engine.js';
import { openTfjs } from '../../../src/learner/engine/tfjs/backend.js';
import { checkLearnerSettings } from '../../../src/learner/index.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hone-tfjs-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('opening TF.js', () => {
  it('says what to install where nothing is', async () => {
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

  it('does not pass over a native package that does not load, and says how to build its addon', async () => {
    const broken = join(folder, 'node_modules/@tensorflow/tfjs-node');
    mkdirSync(broken, { recursive: true });
    writeFileSync(join(broken, 'index.js'), "throw new Error('the addon is not there');\n");
    await expect(openTfjs({ folder, threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(
        /tfjs-node is installed but does not load: the addon is not there\n.*hone tfjs-setup/,
      ),
    });
  });

  it('refuses a device that TF.js does not run on', async () => {
    await expect(openTfjs({ device: 'coreml', threads: 1 })).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  });

  it('refuses cuda where only the CPU can be had', async () => {
    await expect(openTfjs({ backend: 'cpu', device: 'cuda', threads: 1 })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
    });
  });

  it('is what the learner does where its settings name tfjs', async () => {
    const settings = checkLearnerSettings({ engine: 'tfjs', device: 'webgpu' });
    await expect(openEngine({ packageDirectory: folder, settings })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('tfjs'),
    });
  });

  it('finds what is installed beside Hone', async () => {
    const { tf, backend } = await openTfjs({ backend: 'cpu', threads: 1 });
    expect(backend).toBe('cpu');
    expect(tf.getBackend()).toBe('cpu');
    expect(Array.from(tf.add(1, 2).dataSync())).toEqual([3]);
  });
});
