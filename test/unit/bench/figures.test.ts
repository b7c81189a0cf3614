import { describe, expect, it } from 'vitest';
import { trainingFlops } from '../../../bench/lib/flops.js';
import type { BenchModel } from '../../../bench/lib/models.js';
import { type BenchReport, impossibleShares, toJsonLine, toMarkdown, toTable } from '../../../bench/lib/report.js';
import { median, percentile, spread } from '../../../bench/lib/statistics.js';

const report = (share: number): BenchReport => ({
  title: 'a bench',
  limits: { gemm_gflops: 123.456 },
  models: { small: { tokens_per_s: 12345.6, gemm_share: share }, large: { gemm_share: 0.5, note: 'slow' } },
  general: { install_mb: 7 },
  shares: ['gemm_share'],
});

describe('a report', () => {
  it('names each share of a limit that is above 1', () => {
    expect(impossibleShares(report(0.99))).toEqual([]);
    expect(impossibleShares(report(1.02))).toEqual([expect.stringContaining('small: gemm_share is 1.02')]);
  });

  it('is one line of JSON with an object per model', () => {
    expect(JSON.parse(toJsonLine(report(0.25)))).toEqual({
      small: { tokens_per_s: 12350, gemm_share: 0.25 },
      large: { gemm_share: 0.5, note: 'slow' },
      install_mb: 7,
      limits: { gemm_gflops: 123.5 },
    });
  });

  it('is a table with a column per model, and a dash if a model lacks a figure', () => {
    const [title, header, speed] = toTable(report(0.25)).split('\n');
    expect(title).toBe('a bench');
    expect(header?.trim().split(/ +/)).toEqual(['small', 'large']);
    expect(speed?.trim().split(/ +/)).toEqual(['tokens_per_s', '12350', '-']);
  });
});

describe('a report in Markdown', () => {
  it('has a header of models and a row per figure', () => {
    const lines = toMarkdown(report(0.25)).split('\n');
    expect(lines[0]).toBe('a bench. gemm_gflops 123.5, install_mb 7.');
    expect(lines.slice(2, 5)).toEqual(['|  | small | large |', '| --- | --- | --- |', '| tokens_per_s | 12350 | - |']);
  });
});

describe('the operations of a training step', () => {
  const model = (linears: [string, readonly [number, number]][]): BenchModel => ({
    name: 'tiny',
    directory: '',
    layers: 1,
    hiddenSize: 4,
    heads: 2,
    headSize: 2,
    vocabularySize: 10,
    linears: new Map(linears),
    weightBytes: 0,
  });
  const step = { sequences: 2, length: 3, targets: 5, rank: 1 };
  // Attention scores and mixing take two products forward and four backward, the head takes one each way.
  const attention = 6 * 2 * 2 * 3 * 3 * 4;
  const head = 2 * 2 * 5 * 4 * 10;

  it('include a linear layer forward and backward, and three products per adapter matrix', () => {
    const flops = trainingFlops(model([['model.layers.1.mlp.up_proj', [4, 8]]]), step);
    const dense = 2 * (2 * 6 * 4 * 8);
    const adapter = 3 * 2 * 6 * (4 + 8);
    expect(flops).toBe(attention + head + dense + adapter);
  });

  it('exclude the gradient of inputs that come before the first adapter', () => {
    const flops = trainingFlops(model([['model.layers.0.self_attn.q_proj', [4, 8]]]), step);
    const dense = 2 * 6 * 4 * 8;
    const adapter = 3 * 2 * 6 * (4 + 8) - 2 * 6 * 4;
    expect(flops).toBe(attention + head + dense + adapter);
  });
});

describe('the median', () => {
  it('is the middle value, or the mean of the two middle values', () => {
    expect(median([5, 1, 9])).toBe(5);
    expect(median([4, 1, 9, 2])).toBe(3);
  });
});

describe('repeated timings', () => {
  it('have as their spread the range of values, as a share of the median', () => {
    expect(spread([90, 100, 120])).toBeCloseTo(0.3);
  });

  it('have a 99th percentile that one of a hundred values exceeds', () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(percentile(values, 0.99)).toBe(198);
    expect(percentile([5], 0.99)).toBe(5);
  });
});
