/**
 * Gradients on other devices than the cpu. WebGPU needs a Vulkan driver, which may be one in software; without one, its
 * tests are skipped with that reason. Providers are opened in child processes, because some crash instead of throwing.
 */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { chooseDevice, fastest } from '../../../../src/learner/engine/choose-device.js';
import { offeredProviders } from '../../../../src/learner/engine/device.js';
import {
  type DeviceFigures,
  outcomeOf,
  tryDevice,
  worstDifference,
} from '../../../../src/learner/engine/device-trial.js';
import { type Provider, providers } from '../../../../src/learner/engine/names.js';
import { checkLearnerSettings, checkOffered, type Device, openEngine } from '../../../../src/learner/index.js';
import type { EngineReport } from '../../../../src/learner/process/messages.js';
import { startScript } from '../../../support/processes.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const tiny = join(root, 'test/fixtures/tiny');
const settingsOf = (device: Device) => checkLearnerSettings({ rank: 4, device });

const attempt = (packageDirectory: string, provider: Provider): Promise<DeviceFigures | Error> =>
  tryDevice({ packageDirectory, settings: settingsOf(provider), provider, measure: false }, 200_000).catch(
    (failure: Error) => failure,
  );

describe('WebGPU', { timeout: 240_000 }, () => {
  it.for(['test/fixtures/tiny', 'models/tldr'])(
    'gives the gradients of the cpu to 1e-5: %s',
    async (folder, { skip }) => {
      const outcome = await attempt(join(root, folder), 'webgpu');
      if (outcome instanceof Error) {
        // With a driver, any other failure is a defect.
        skip(/adapter|this build of onnxruntime has/.test(outcome.message), `no WebGPU here: ${outcome.message}`);
        throw outcome;
      }
      // A difference of exactly 0 would mean that the cpu computed them.
      expect(outcome.difference).toBeGreaterThan(0);
      expect(outcome.difference).toBeLessThanOrEqual(1e-5);
    },
  );
});

describe('a device that cannot be used', () => {
  const others = providers.filter((provider) => provider !== 'cpu');

  it.each(others)('%s is refused with what to do if this build of onnxruntime does not have it', async (provider) => {
    if (offeredProviders().includes(provider)) return checkOffered(provider);
    await expect(openEngine({ packageDirectory: tiny, settings: settingsOf(provider) })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringMatching(/this build of onnxruntime has cpu.*docs\/devices\.md.*--learner-device cpu/),
    });
  });

  it('is refused with what to do if it does not open', { timeout: 240_000 }, async ({ skip }) => {
    const outcome = offeredProviders().includes('cuda') ? await attempt(tiny, 'cuda') : undefined;
    skip(!(outcome instanceof Error), 'CUDA opens here, or this build does not have it');
    expect(outcome).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringMatching(/compute on cuda: \S.*CUDA 12, cuDNN 9.*docs\/devices\.md/s),
    });
  });

  it('is reported with what its process printed if it ends the process', async () => {
    const file = fileURLToPath(new URL('../../../support/learner/aborting-process.js', import.meta.url));
    const child = startScript(file, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    await expect(outcomeOf(child, 'webgpu', 30_000)).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringMatching(/ended with SIGABRT: the driver is gone/),
    });
  });

  it('is reported if it takes too long, and its process is killed', async () => {
    const trial = { packageDirectory: tiny, settings: settingsOf('cpu'), provider: 'cpu', measure: true } as const;
    await expect(tryDevice(trial, 1)).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('took longer than 0.001 s'),
    });
  });

  it('does not hide the error of a package that cannot be loaded', async () => {
    const trial = { packageDirectory: root, settings: settingsOf('cpu'), provider: 'cpu', measure: true } as const;
    await expect(tryDevice(trial, 30_000)).rejects.toMatchObject({ code: 'PACKAGE_INVALID' });
  });
});

describe('auto', () => {
  const choose = (cpu: number, webgpu: number): string =>
    fastest([
      { provider: 'cpu', stepMs: cpu },
      { provider: 'webgpu', stepMs: webgpu },
      { provider: 'cuda', failure: 'no driver' },
    ]).provider;

  it('takes the fastest device, but the cpu if another saves less than a fifth', () => {
    expect(choose(100, 50)).toBe('webgpu');
    expect(choose(100, 90)).toBe('cpu');
    expect(choose(100, 500)).toBe('cpu');
  });

  it('takes the cpu if no other device can be used, and reports why', () => {
    const choice = fastest([{ provider: 'webgpu', failure: 'its gradients differ' }]);
    expect(choice).toEqual({
      provider: 'cpu',
      detail: 'cpu, measured; webgpu not used: its gradients differ',
      stepMs: {},
    });
  });

  it('takes no device that could not be compared with the cpu', () => {
    const tried = [
      { provider: 'cpu', failure: 'took longer' },
      { provider: 'webgpu', stepMs: 1 },
    ] as const;
    expect(fastest(tried).provider).toBe('cpu');
  });

  it('chooses from the devices of this machine, and reports the outcome of each', async () => {
    // WebGPU is tried above; with a driver in software, timing it would take a minute.
    const offered = offeredProviders().filter((provider) => provider !== 'webgpu');
    const choice = await chooseDevice({ packageDirectory: tiny, settings: settingsOf('auto'), offered });
    for (const provider of offered) expect(choice.detail).toContain(provider);
    expect(choice.detail).toMatch(/^\w+, measured/);
  }, 240_000);
});

it('an engine reports the device that it computes on when it is open', async () => {
  const reports: EngineReport[] = [];
  const onOpened = (report: EngineReport) => reports.push(report);
  const engine = await openEngine({ packageDirectory: tiny, settings: settingsOf('cpu'), onOpened });
  await engine.close();
  expect(reports).toEqual([
    { engine: 'onnx', device: 'cpu', detail: 'cpu, as asked for', stepMs: {}, memoryBytes: expect.any(Number) },
  ]);
});

describe('the difference of gradients', () => {
  const of = (values: number[]) => new Map([['a', Float32Array.from(values)]]);

  it('is relative to the norm, and the largest over all matrices', () => {
    expect(worstDifference(of([3, 4.5]), of([3, 4]))).toBeCloseTo(0.1, 6);
    const expected = new Map([...of([1]), ['b', Float32Array.of(10)]]);
    expect(worstDifference(new Map([...of([1]), ['b', Float32Array.of(12)]]), expected)).toBeCloseTo(0.2, 6);
  });

  it('is infinite if a matrix is missing, has another size or is not finite', () => {
    expect(worstDifference(new Map(), of([1]))).toBe(Number.POSITIVE_INFINITY);
    expect(worstDifference(of([1]), of([1, 2]))).toBe(Number.POSITIVE_INFINITY);
    expect(worstDifference(of([Number.NaN]), of([1]))).toBe(Number.POSITIVE_INFINITY);
  });
});
