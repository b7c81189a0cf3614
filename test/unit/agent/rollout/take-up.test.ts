/** What a start does with the candidates of an earlier run. */

import { expect, it } from 'vitest';
import type { Mode } from '../../../../src/agent/rollout/modes.js';
import { type TakeUpSteps, takeUp } from '../../../../src/agent/rollout/take-up.js';
import { HoneError } from '../../../../src/errors.js';
import type { Version, VersionLog } from '../../../../src/versions/index.js';
import type { VersionCheck } from '../../../../src/versions/types.js';

const check = (outcome: 'passed' | 'failed'): VersionCheck => ({ check: 'kl', outcome, detail: 'far', numbers: {} });

function version(number: number, state: Version['state'], over: Partial<Version> = {}): Version {
  return { number, state, origin: 'learned', packageDigest: 'p', verdict: [], ...over } as Version;
}

const live = version(0, 'live', { origin: 'base' });
const passed = { verdict: [check('passed')] };

/** The steps that are taken, in order. */
async function taken(versions: readonly Version[], mode: Mode, failing?: number, untraced?: number): Promise<string[]> {
  const steps: string[] = [];
  const step = (name: string) => async (one: Version, reason?: string) => {
    if (one.number === failing) throw new HoneError('STORE_FULL', 'no room');
    steps.push(`${name} ${one.number}${reason === undefined ? '' : `: ${reason}`}`);
  };
  const all: TakeUpSteps = {
    resume: step('resume'),
    changeTrial: step('change trial of'),
    wait: step('wait'),
    admit: step('admit'),
    reject: step('reject'),
    isTraced: async ({ number }) => number !== untraced,
    onFailed: (one, thrown) => steps.push(`${one.number} failed: ${HoneError.from(thrown).code}`),
  };
  const log = { list: () => versions, live: () => versions.find(({ state }) => state === 'live') };
  await takeUp(log as unknown as VersionLog, mode, all);
  return steps;
}

it('resumes a trial in the same mode, and changes it in another one', async () => {
  const versions = [live, version(1, 'canary', passed)];
  expect(await taken(versions, 'canary')).toEqual(['resume 1']);
  expect(await taken(versions, 'auto')).toEqual(['change trial of 1']);
});

it('rejects a version on trial if a newer one is on trial, or went live meanwhile', async () => {
  expect(await taken([live, version(1, 'shadow', passed), version(2, 'canary', passed)], 'canary')).toEqual([
    'reject 1: version 2 is on trial, too, and newer',
    'resume 2',
  ]);
  const newer = [version(0, 'retired', { origin: 'base' }), version(1, 'canary', passed), version(2, 'live')];
  expect(await taken(newer, 'canary')).toEqual(['reject 1: version 2 went live while it was on trial']);
});

it('judges what was not judged, rejects what was refused, and admits the newest version that has passed', async () => {
  const versions = [
    live,
    version(1, 'candidate', passed),
    version(2, 'candidate', { verdict: [check('passed'), check('failed')] }),
    version(3, 'candidate', passed),
    version(4, 'candidate', { origin: 'imported' }),
    version(5, 'rejected'),
  ];
  expect(await taken(versions, 'auto')).toEqual(['reject 2: kl: far', 'wait 4', 'admit 3']);
});

it('leaves alone the versions of another package, rollbacks, and what passed before the live version', async () => {
  const versions = [
    version(0, 'retired', { origin: 'base' }),
    version(1, 'candidate', { packageDigest: 'another' }),
    version(2, 'candidate', passed),
    version(3, 'live'),
    version(4, 'candidate', { origin: 'rollback' }),
  ];
  expect(await taken(versions, 'auto')).toEqual([]);
});

it('rejects an unjudged version if the store does not know what it was learned from', async () => {
  const versions = [live, version(1, 'candidate'), version(2, 'candidate'), version(3, 'candidate', passed)];
  expect(await taken(versions, 'auto', undefined, 1)).toEqual([
    'reject 1: the store does not know what it was learned from',
    'wait 2',
    'admit 3',
  ]);
});

it('reports a step that fails, and takes up the other versions', async () => {
  const versions = [live, version(1, 'canary', passed), version(2, 'candidate'), version(3, 'candidate', passed)];
  expect(await taken(versions, 'canary', 1)).toEqual(['1 failed: STORE_FULL', 'wait 2', 'admit 3']);
});
