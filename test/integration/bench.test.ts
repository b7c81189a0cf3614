/** Each bench runs from end to end and prints what its readers parse; how fast this machine is plays no part. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

async function runBench(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number, stdout, stderr };
}

const expected = {
  decode: [
    'tokens_per_s_b1',
    'tokens_per_s_b8',
    'tokens_per_s_b16',
    'limit_ratio_b1',
    'limit_ratio_b8',
    'first_token_ms',
  ],
  learn: ['tokens_per_s', 'grouped_tokens_per_s', 'gemm_share', 'peak_rss_mb'],
  edge: ['startup_ms', 'training_peak_rss_mb'],
} as const;

describe('npm run bench', () => {
  it.each(Object.entries(expected))(
    '%s --smoke --json prints one line of JSON with its figures',
    async (bench, keys) => {
      const { code, stdout, stderr } = await runBench(bench, '--smoke', '--json', '--threads', '1');
      expect(stderr).not.toMatch(/error/i);
      expect(code).toBe(0);
      expect(stdout.trimEnd().split('\n')).toHaveLength(1);
      const report = JSON.parse(stdout);
      for (const key of keys) expect(report.tiny[key], key).toBeGreaterThan(0);
      if (bench === 'edge') expect(report.install_mb).toBeGreaterThan(1);
      else expect(report.limits.threads).toBe(1);
    },
  );

  it('prints a table for people, and progress on standard error alone', async () => {
    const { stdout, stderr } = await runBench('learn', '--smoke', '--threads', '1');
    expect(stdout).toMatch(/^training step/);
    expect(stdout).toMatch(/^gemm_share +\S+$/m);
    expect(stdout).not.toMatch(/^bench:/m);
    expect(stderr).toMatch(/^bench: GEMM rate/m);
  });

  it('refuses a model that it does not know', async () => {
    const { code, stderr } = await runBench('decode', '--model', '7B');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/tldr, 135M/);
  });
});
