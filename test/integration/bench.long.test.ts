/** Each bench runs from end to end and prints its figures. The tests do not depend on the speed of the machine. */

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Ended, runPiped } from '../support/processes.js';

const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const runBench = (...args: string[]): Promise<Ended> => runPiped(main, args);

const expected = {
  decode: [
    'tokens_per_s_b1',
    'tokens_per_s_b8',
    'tokens_per_s_b16',
    'limit_ratio_b1',
    'limit_ratio_b8',
    'tokens_per_s_b8_ctx512',
    'lora_tokens_per_s_b1',
    'first_token_ms',
    'prefill_tokens_per_s',
    'arrivals8_tokens_per_s',
  ],
  serve: ['grpc_share', 'unary_p99_ratio', 'engine_tokens_per_s', 'grpc_tokens_per_s', 'grpc_tokens_equal'],
  learn: ['tokens_per_s', 'grouped_tokens_per_s', 'gemm_share', 'peak_rss_mb'],
  together: ['tokens_share', 'itl_p99_ratio', 'tokens_share_1_stream', 'itl_p99_ratio_8_streams'],
  edge: ['startup_ms', 'startup_first_ms', 'training_peak_rss_mib'],
} as const;

describe('npm run bench', { timeout: 600_000 }, () => {
  it.each(Object.entries(expected))(
    '%s --quick --json prints one line of JSON with its figures',
    async (bench, keys) => {
      const peers = bench === 'decode' ? ['--no-peers'] : [];
      const { code, out, err } = await runBench(bench, '--quick', '--json', '--threads', '1', ...peers);
      expect(err).not.toMatch(/error/i);
      expect(code).toBe(0);
      expect(out.trimEnd().split('\n')).toHaveLength(1);
      const report = JSON.parse(out);
      for (const key of keys) expect(report.tiny[key], key).toBeGreaterThan(0);
      if (bench === 'edge') expect(report.install_mb).toBeGreaterThan(1);
      else expect((bench === 'serve' || bench === 'together' ? report.tiny : report.limits).threads).toBe(1);
    },
  );

  it('feedback --quick --json finds every acknowledged score in the store, and prints its limits', async () => {
    const { code, out, err } = await runBench('feedback', '--quick', '--json');
    expect(err.match(/acknowledged and found again/g)).toHaveLength(4);
    expect(code).toBe(0);
    const report = JSON.parse(out);
    for (const key of ['acked_per_s_1_stream', 'acked_per_s_8_streams', 'grpc_limit_per_s', 'store_limit_per_s']) {
      expect(report[key], key).toBeGreaterThan(0);
    }
    for (const column of ['items_1', 'items_32']) {
      for (const share of ['grpc_share_1_stream', 'store_share_8_streams']) {
        expect(report[column][share], share).toBeGreaterThan(0);
      }
    }
  });
});
