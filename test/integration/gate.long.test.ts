/**
 * Candidates that were trained for the wrong thing, against the real server. What the gate thinks of them is in
 * `unit/gate/bad-candidates.test.ts`, what scores do to a bad canary in `rollout.test.ts`.
 */

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { AdapterFiles, HoneClient, HoneEvent, HoneEventType, Version } from '../../client/index.js';
import { loadPackage, type Package } from '../../src/package/index.js';
import { openPolicy } from '../../src/policy/index.js';
import { encodeAdapter } from '../../src/versions/adapter-files.js';
import type { Adapter } from '../../src/versions/index.js';
import { trainFor } from '../support/gate/training.js';
import { makeVersion } from '../support/policy/policy.js';
import { startServer, tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

let pkg: Package;
beforeAll(async () => {
  pkg = await loadPackage(tinyPackage);
});

function filesOf(adapter: Adapter): AdapterFiles {
  const meta = { packageDigest: pkg.digest, baseModel: pkg.name, parent: null, createdAtMs: 1, metrics: {} };
  return encodeAdapter(adapter, meta);
}

/** What a judge of tokens makes of the base. */
async function trained(judge: (tokens: readonly number[]) => number, rounds: number): Promise<AdapterFiles> {
  await using policy = await openPolicy({ pkg, version: await makeVersion(pkg, 0, 0, 0, 4) });
  return filesOf((await trainFor(judge, { pkg, policy, number: 1, rounds, maxTokens: 24 })).adapter);
}

async function open(args: readonly string[]): Promise<HoneClient> {
  const server = await startServer({ args: ['--adapters', 'on', ...args] });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server.connect();
}

/** Traffic, so that the gate has prompts to ask. */
async function ask(client: HoneClient): Promise<void> {
  const prompts = Array.from({ length: 32 }, (_, n) => `a prompt of traffic ${n}`);
  await Promise.all(prompts.map((prompt) => client.generate({ prompt, maxTokens: 8 })));
}

async function judged(client: HoneClient, files: AdapterFiles): Promise<Version> {
  const { number } = await client.importVersion(files);
  await until(async () => (await client.version(number)).state !== 'candidate', 'it was judged');
  return client.version(number);
}

const failedOf = ({ verdict }: Version): string[] =>
  verdict.filter(({ outcome }) => outcome === 'failed').map(({ check }) => check);

describe('the gate of a server', () => {
  it('stops a rambler that was paid for saying one word over and over', async () => {
    const rambler = await trained((tokens) => tokens.filter((token) => token === 101).length / 24, 40);
    const client = await open(['--gate-settings', '{"prompts":32,"maxTokens":24,"kl":{"maxNats":1000000}}']);
    await ask(client);
    const version = await judged(client, rambler);
    expect(version.state).toBe('rejected');
    expect(failedOf(version)).toEqual(['health']);
    expect(version.rejectedBecause).toContain('n-grams repeated');
  });
});

describe('a canary without a gate', () => {
  it('rolls a candidate back that was trained on inverted scores', async () => {
    // Small tokens are liked; the candidate learned the contrary.
    const liked = (tokens: readonly number[]): number =>
      1 - tokens.reduce((sum, token) => sum + token, 0) / Math.max(1, tokens.length) / 260;
    const inverted = await trained((tokens) => 1 - liked(tokens), 14);
    const settings = '{"margin":0.1,"minimum":10}';
    const client = await open([
      '--gate',
      'off',
      '--mode',
      'canary',
      '--canary-share',
      '0.5',
      '--canary-settings',
      settings,
    ]);
    const { number } = await client.importVersion(inverted);
    await until(async () => (await client.mode()).trial !== undefined, 'it is on trial');
    const askAndScore = async (n: number): Promise<void> => {
      const request = { prompt: `prompt ${n}`, subject: `subject ${n}`, seed: n, maxTokens: 24 };
      const { generationId = '', tokenIds = [] } = (await client.generate(request)).completions[0] ?? {};
      await client.feedback({ generationId, score: liked(tokenIds) });
    };
    for (let n = 0; n < 4000 && (await client.mode()).trial !== undefined; n++) await askAndScore(n);
    expect(await firstEvent(client, 'canary_ended')).toMatchObject({
      version: number,
      detail: expect.stringContaining('rolled back'),
    });
    expect(await client.version(number)).toMatchObject({ state: 'rejected' });
    expect((await client.status()).live.number).toBe(0);
  });
});

async function firstEvent(client: HoneClient, type: HoneEventType): Promise<HoneEvent> {
  for await (const event of client.watchEvents({ afterSequence: 0, types: [type] })) return event;
  throw new Error('the events ended');
}
