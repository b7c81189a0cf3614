/** Runs two of the benches from end to end; `bench.long.test.ts` runs all of them. */

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Ended, runPiped } from '../support/processes.js';

const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const runBench = (...args: string[]): Promise<Ended> => runPiped(main, args);

describe('npm run bench', () => {
  it('prints a table to standard output and progress to standard error', async () => {
    const { out, err } = await runBench('learn', '--quick', '--threads', '1');
    expect(out).toMatch(/^training step/);
    expect(out).toMatch(/^gemm_share +\S+$/m);
    expect(out).not.toMatch(/^bench:/m);
    expect(err).toMatch(/^bench: GEMM rate/m);
  });

  it('prints null for peers that were left out', async () => {
    const { out } = await runBench('decode', '--quick', '--json', '--threads', '1', '--no-peers');
    const { tiny } = JSON.parse(out);
    for (const key of ['vs_transformers_b1', 'vs_transformers_b8_ctx512', 'vs_llamacpp_f32_b1', 'int8_vs_fp32_b1']) {
      expect(tiny[key], key).toBeNull();
    }
  });

  it('refuses a model that it does not know', async () => {
    const { code, err } = await runBench('decode', '--model', '7B');
    expect(code).not.toBe(0);
    expect(err).toMatch(/tldr, 135M/);
  });
});
