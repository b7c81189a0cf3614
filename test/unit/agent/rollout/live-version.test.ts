/** How a version goes live, and how it is rolled back. */

import { describe, expect, it } from 'vitest';
import { HoneError } from '../../../../src/errors.js';
import type { LearnerStatus } from '../../../../src/learner/process/status.js';
import { openLoop } from '../../../support/agent/loop.js';
import { untilAborted } from '../../../support/agent/scripted-policy.js';

describe('a candidate', () => {
  it('is adopted, swapped in, recorded as live and reported to the learner, in this order', async () => {
    await using loop = await openLoop(untilAborted);
    const order: string[] = [];
    const { policy, versions, learner } = loop;
    const swap = policy.swap.bind(policy);
    policy.swap = (version) => {
      order.push(`swap ${version.number}, head ${versions.live().number}, ${versions.get(version.number)?.state}`);
      return swap(version);
    };
    await loop.offerCandidate(0.5, { steps: 3 });
    const created = await loop.nextEvent('version_created');
    const promoted = await loop.nextEvent('version_promoted');
    expect(created).toMatchObject({ version: 1, numbers: { steps: 3 } });
    expect(promoted).toMatchObject({ version: 1, numbers: { duration_ms: 1, probe_to_previous: 1 } });
    expect(order).toEqual(['swap 1, head 0, candidate']);
    expect(learner.told).toEqual(['live 1 adapter']);
    expect(loop.agent.identity()).toMatchObject({ version: 1, adapterDigest: versions.live().adapterDigest });
    expect(versions.live()).toMatchObject({ number: 1, origin: 'learned', parent: 0 });
  });

  it('never serves if it has a number that is not finite', async () => {
    await using loop = await openLoop(untilAborted);
    await loop.offerCandidate(0.5, { kl: Number.NaN });
    expect(await loop.nextEvent('version_rejected')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('kl'),
    });
    expect(loop.policy.swaps).toEqual([]);
    expect(loop.versions.get(1)?.state).toBe('rejected');
    expect(loop.agent.identity().version).toBe(0);
  });

  it('is rejected if the worker does not really serve it, and the version before serves again', async () => {
    await using loop = await openLoop(untilAborted);
    loop.policy.wrongDigest = 'f'.repeat(64);
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({ version: 1 });
    expect(loop.policy.swaps).toEqual([1, 0]);
    expect(loop.versions.live().number).toBe(0);
    expect(loop.agent.identity().version).toBe(0);
  });

  it('does not stay served if it cannot be recorded', async () => {
    await using loop = await openLoop(untilAborted);
    loop.versions.promote = () => Promise.reject(new HoneError('STORE_FULL', 'the disk is full'));
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({ detail: 'STORE_FULL: the disk is full' });
    expect(loop.policy.swaps).toEqual([1, 0]);
    expect(loop.agent.identity().version).toBe(0);
  });

  it('is the live version of the status only once it is recorded', async () => {
    await using loop = await openLoop(untilAborted);
    loop.learner.status = () => ({}) as LearnerStatus;
    const { promote } = loop.versions;
    let meanwhile: unknown;
    loop.versions.promote = async (number) => {
      meanwhile = (await loop.agent.status()).live;
      return promote.call(loop.versions, number);
    };
    await loop.offerCandidate(0.5);
    await loop.nextEvent('version_promoted');
    expect(meanwhile).toMatchObject({ number: 0, state: 'live' });
    expect((await loop.agent.status()).live).toMatchObject({ number: 1, state: 'live' });
  });

  it('is refused if its files are not what was announced, and the next one goes live', async () => {
    await using loop = await openLoop(untilAborted);
    loop.learner.emit({
      type: 'candidate',
      directory: '/nowhere',
      adapterDigest: 'x',
      parent: 0,
      metrics: {},
      lessons: [],
    });
    expect(await loop.nextEvent('version_failed')).toMatchObject({
      detail: expect.stringContaining('the adapter of the learner did not become a version: ADAPTER_INVALID'),
    });
    await loop.offerCandidate(0.25);
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 1 });
  });
});

describe('a rollback', () => {
  it('is a new live version with the weights of the old version', async () => {
    await using loop = await openLoop(untilAborted);
    await loop.offerCandidate(0.5);
    await loop.nextEvent('version_promoted');
    const base = loop.versions.get(0);
    const version = await loop.agent.rollback(0);
    expect(version).toMatchObject({ number: 2, parent: 0, origin: 'rollback', state: 'live' });
    expect(version.adapterDigest).toBe(base?.adapterDigest);
    expect(loop.policy.swaps).toEqual([1, 2]);
    expect(loop.learner.told).toEqual(['live 1 adapter', 'live 2 zero rolled back']);
    expect(loop.agent.listVersions(2, '')).toMatchObject({
      versions: [{ number: 2 }, { number: 1 }],
      nextPageToken: '1',
    });
    expect(loop.agent.listVersions(2, '1')).toMatchObject({ versions: [{ number: 0 }], nextPageToken: '' });
  });

  it('is not undone by a candidate that was trained from the version that was rolled back', async () => {
    await using loop = await openLoop(untilAborted);
    await loop.offerCandidate(0.5);
    await loop.nextEvent('version_promoted');
    await loop.agent.rollback(0);
    await loop.offerCandidate(0.6, {}, 1);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({
      version: 3,
      detail: expect.stringContaining('rollback'),
    });
    expect(loop.agent.identity().version).toBe(2);
    await loop.offerCandidate(0.1, {}, 2);
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 4 });
  });

  it('changes nothing if its version does not exist or never served', async () => {
    await using loop = await openLoop(untilAborted);
    await expect(loop.agent.rollback(7)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
    await expect(loop.agent.rollback(0)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
    expect(loop.versions.live().number).toBe(0);
    expect(loop.policy.swaps).toEqual([]);
  });
});
