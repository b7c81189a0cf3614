import { describe, expect, it } from 'vitest';
import { AdamW, type Parameters, warmUp } from '../../../src/learner/index.js';

const parametersOf = (...values: number[]): Parameters =>
  new Map([['w', { dims: [values.length], data: Float32Array.from(values) }]]);
const gradientsOf = (...values: number[]): Map<string, Float32Array> => new Map([['w', Float32Array.from(values)]]);
const valuesOf = (parameters: Parameters): number[] => Array.from(parameters.get('w')?.data ?? []);
const settings = { learningRate: () => 0.1, beta1: 0.9, beta2: 0.99, clipNorm: 1e9 };

describe('AdamW', () => {
  it('moves each parameter by the learning rate in the first step, whatever the size of the gradient', () => {
    const parameters = parametersOf(1, 2, 3);
    new AdamW(settings).step(parameters, gradientsOf(1e-3, -5, 700));
    const [a, b, c] = valuesOf(parameters) as unknown as [number, number, number];
    expect(a).toBeCloseTo(0.9, 4);
    expect(b).toBeCloseTo(2.1, 4);
    expect(c).toBeCloseTo(2.9, 4);
  });

  it('finds the minimum of a quadratic', () => {
    const parameters = parametersOf(4, -3);
    const optimizer = new AdamW({ ...settings, learningRate: (step) => 0.1 / (1 + step / 100) });
    for (let step = 0; step < 1000; step++) {
      const [x, y] = valuesOf(parameters) as unknown as [number, number];
      optimizer.step(parameters, gradientsOf(2 * (x - 1), 20 * (y - 2)));
    }
    const [x, y] = valuesOf(parameters) as unknown as [number, number];
    expect(x).toBeCloseTo(1, 2);
    expect(y).toBeCloseTo(2, 2);
  });

  it('decays matrices and does not decay vectors', () => {
    const parameters: Parameters = new Map([
      ['matrix', { dims: [1, 1], data: Float32Array.of(1) }],
      ['vector', { dims: [1], data: Float32Array.of(1) }],
    ]);
    const zeros = new Map([...parameters.keys()].map((name) => [name, new Float32Array(1)]));
    new AdamW({ ...settings, weightDecay: 0.5 }).step(parameters, zeros);
    expect(parameters.get('matrix')?.data[0]).toBeCloseTo(0.95, 6);
    expect(parameters.get('vector')?.data[0]).toBe(1);
  });

  it('reports the gradient norm before clipping, and updates by the clipped gradients', () => {
    const clipped = parametersOf(0, 0);
    const scaled = parametersOf(0, 0);
    const one = new AdamW({ ...settings, clipNorm: 5 });
    const two = new AdamW(settings);
    for (let step = 0; step < 3; step++) {
      expect(one.step(clipped, gradientsOf(30 * step, 40)).norm).toBeCloseTo(Math.hypot(30 * step, 40), 3);
      const factor = 5 / Math.hypot(30 * step, 40);
      two.step(scaled, gradientsOf(30 * step * factor, 40 * factor));
    }
    expect(clipped.get('w')?.data[0]).toBeCloseTo(scaled.get('w')?.data[0] as number, 6);
  });

  it('drops a step with a gradient that is not finite, and changes no parameter', () => {
    const parameters = parametersOf(1, 2);
    const optimizer = new AdamW(settings);
    expect(optimizer.step(parameters, gradientsOf(Number.NaN, 1)).applied).toBe(false);
    expect(optimizer.step(parameters, gradientsOf(1, Number.POSITIVE_INFINITY)).applied).toBe(false);
    expect(Array.from(parameters.get('w')?.data ?? [])).toEqual([1, 2]);
    expect(optimizer.steps).toBe(0);
  });

  it('continues from a restored state as if it had never stopped', () => {
    const whole = parametersOf(1, 2);
    const halves = parametersOf(1, 2);
    const first = new AdamW(settings);
    const second = new AdamW(settings);
    for (let step = 0; step < 4; step++) first.step(whole, gradientsOf(step + 1, -step));
    for (let step = 0; step < 2; step++) second.step(halves, gradientsOf(step + 1, -step));
    const resumed = new AdamW(settings);
    resumed.restore(structuredClone(second.state()));
    for (let step = 2; step < 4; step++) resumed.step(halves, gradientsOf(step + 1, -step));
    expect(halves).toEqual(whole);
  });

  it('raises the learning rate linearly during the warm-up', () => {
    const rate = warmUp(8, 4);
    expect([0, 1, 2, 3, 4, 100].map(rate)).toEqual([2, 4, 6, 8, 8, 8]);
  });
});
