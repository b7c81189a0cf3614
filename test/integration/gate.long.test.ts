/**
 * Candidates that were trained for the wrong goal, against the real server. `unit/gate/bad-candidates.test.ts` tests the
 * verdicts on them, `rollout.test.ts` what scores do to a bad canary.
 */

import { beforeAll, describe, expect, it } from 'vitest';
import type { AdapterFiles, HoneClient, HoneEvent, HoneEventType } from '../../client/index.js';
import { loadPackage, type Package } from '../../src/package/index.js';
import { openPolicy } from '../../src/policy/index.js';
import {
  failedChecks,
  importAndJudge,
  importFiles,
  makeTraffic,
  openJudgingServer,
} from '../support/gate/judging-server.js';
import { trainFor } from '../support/gate/training.js';
import { makeVersion } from '../support/policy/policy.js';
import { tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

let pkg: Package;
beforeAll(async () => {
  pkg = await loadPackage(tinyPackage);
});

/** Trains an adapter for a judge of tokens, from the base. */
async function trained(judge: (tokens: readonly number[]) => number, rounds: number): Promise<AdapterFiles> {
  await using policy = await openPolicy({ pkg, version: await makeVersion(pkg, 0, 0, 0, 4) });
  return importFiles(pkg, (await trainFor(judge, { pkg, policy, number: 1, rounds, maxTokens: 24 })).adapter);
}

describe('the gate of a server', () => {
  it('rejects a candidate that was rewarded for repeating one word', async () => {
    const rambler = await trained((tokens) => tokens.filter((token) => token === 101).length / 24, 40);
    const client = await openJudgingServer([
      '--gate-settings',
      '{"prompts":32,"maxTokens":24,"kl":{"maxNats":1000000}}',
    ]);
    await makeTraffic(client);
    const version = await importAndJudge(client, rambler);
    expect(version.state).toBe('rejected');
    expect(failedChecks(version)).toEqual(['health']);
    expect(version.rejectedBecause).toContain('n-grams are repeated');
  });
});

describe('a canary without a gate', () => {
  it('rolls back a candidate that was trained on inverted scores', async () => {
    // The users prefer small tokens, and the candidate learned the opposite.
    const liked = (tokens: readonly number[]): number =>
      1 - tokens.reduce((sum, token) => sum + token, 0) / Math.max(1, tokens.length) / 260;
    const inverted = await trained((tokens) => 1 - liked(tokens), 14);
    const settings = '{"margin":0.1,"minimum":10}';
    const client = await openJudgingServer([
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
