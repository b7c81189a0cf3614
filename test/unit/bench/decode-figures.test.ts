import { describe, expect, it } from 'vitest';
import type { Samples } from '../../../bench/lib/contest.js';
import { decodeFigures, foreignTokens } from '../../../bench/lib/decode-figures.js';
import {
  agreement,
  completionMs,
  decodedJointly,
  type EngineRow,
  firstTokenMs,
  jointRate,
  overallRate,
} from '../../../bench/lib/engine.js';

/** A row of `count` tokens: the first at `firstMs`, the others `stepMs` apart. */
function row(firstMs: number, stepMs: number, count: number, startedAtMs = 0): EngineRow {
  return {
    startedAtMs,
    tokens: Array.from({ length: count }, (_, i) => i),
    atMs: Array.from({ length: count }, (_, i) => firstMs + i * stepMs),
  };
}

describe('the rates of timed rows', () => {
  // The second row starts 100 ms later and is twice as slow.
  const rows = [row(10, 10, 31), row(110, 20, 11, 100)];

  it('count together only while all rows decode', () => {
    // From 110 to 310 ms, the first row has 20 tokens and the second has 10.
    expect(jointRate(rows)).toBeCloseTo(30 / 0.2);
  });

  it('count all tokens from the first request to the last token', () => {
    expect(overallRate(rows)).toBeCloseTo(42 / 0.31);
  });

  it('measure each wait from the start of its request', () => {
    expect(firstTokenMs(rows)).toBe(10);
    expect(completionMs(rows)).toBeCloseTo((310 + 210) / 2);
  });

  it('detect rows that never decoded at the same time', () => {
    expect(decodedJointly(rows)).toBe(true);
    expect(decodedJointly([row(0, 1, 5), row(100, 1, 5)])).toBe(false);
  });
});

describe('the agreement of two engines', () => {
  const tokens = (...values: number[]): EngineRow => ({ startedAtMs: 0, tokens: values, atMs: values });

  it('ends at the first difference in each completion', () => {
    const same = agreement([tokens(1, 2, 3, 4), tokens(5, 6)], [tokens(1, 2, 9, 4), tokens(5, 6)]);
    expect(same).toEqual({ agreed: 4, compared: 6 });
  });

  it('counts the rest as different if a completion ends early', () => {
    expect(agreement([tokens(1, 2, 3)], [tokens(1)])).toEqual({ agreed: 1, compared: 3 });
  });
});

describe('the figures of the decode bench', () => {
  /** Runs with one row per round, each with its number of tokens per second. */
  const rounds = (...rates: number[]): (readonly EngineRow[])[] => rates.map((rate) => [row(20, 1000 / rate, 11)]);
  const samples: Samples = new Map([
    ['hone', new Map([['b1', rounds(100, 50, 80)]])],
    ['hone_lora', new Map([['b1', rounds(90, 45, 72)]])],
    ['transformers', new Map([['b1', rounds(50, 25, 80)]])],
  ]);
  const figures = decodeFigures(samples, { weightBytes: 2e6, bandwidth: 400e6 }, 416);

  it('are medians of the ratios within each round', () => {
    expect(figures.vs_transformers_b1).toBeCloseTo(2);
    expect(figures.lora_cost_b1).toBeCloseTo(0.1);
  });

  it('assume as the limit that a step reads each weight once', () => {
    expect(figures.tokens_per_s_b1).toBeCloseTo(80);
    expect(figures.limit_ratio_b1).toBeCloseTo((80 * 2e6) / 400e6);
  });

  it('are null instead of absent if a contestant is missing', () => {
    expect(figures).toMatchObject({
      vs_transformers_b8_ctx512: null,
      vs_llamacpp_f32_b1: null,
      int8_vs_fp32_b1: null,
      llamacpp_f32_tokens_equal: null,
    });
  });

  it('report a peer that decodes other tokens', () => {
    expect(figures.transformers_tokens_equal).toBe(1);
    expect(foreignTokens('135M', figures)).toEqual([]);
    expect(foreignTokens('135M', { transformers_tokens_equal: 0.2 })).toEqual([
      expect.stringContaining('135M: transformers_tokens_equal is 0.20'),
    ]);
  });
});
