/** The places of candidates on their way, and which moves between them are refused. */

import { describe, expect, it } from 'vitest';
import { OnTheWay, type UnjudgedCandidate } from '../../../../src/agent/rollout/on-the-way.js';
import type { PendingOffer } from '../../../../src/agent/rollout/pending-offer.js';
import type { Version } from '../../../../src/versions/types.js';

const version = (number: number) => ({ number }) as Version;
const candidate = (number: number): UnjudgedCandidate => ({ version: version(number), metrics: {} });
const offer = (directory: string) => ({ directory }) as PendingOffer;
const refused = expect.objectContaining({ code: 'INTERNAL' });

function thrownBy(move: () => void): unknown {
  try {
    move();
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

describe('an offer', () => {
  it('makes room for a newer one until it is being adopted', () => {
    const way = new OnTheWay();
    expect(way.offer(offer('1'))).toBeNull();
    expect(way.offer(offer('2'))).toEqual(offer('1'));
    expect(way.beginAdopting()).toEqual(offer('2'));
    expect(way.offer(offer('3'))).toBeNull();
    expect(way.beginAdopting()).toBeNull();
    way.endAdopting();
    expect(way.beginAdopting()).toEqual(offer('3'));
  });

  it('is adopted only if nothing waits, nothing is judged and no canary runs', () => {
    const way = new OnTheWay();
    way.offer(offer('1'));
    way.wait(candidate(1));
    expect(way.beginAdopting()).toBeNull();
    way.beginJudging();
    expect(way.beginAdopting()).toBeNull();
    way.beginTrial(version(1), 'canary');
    way.endJudging();
    expect(way.beginAdopting()).toBeNull();
    way.endTrial();
    way.beginTrial(version(1), 'shadow');
    expect(way.beginAdopting()).toEqual(offer('1'));
  });
});

describe('a version that waits', () => {
  it('is judged only if nothing else is judged and no canary runs', () => {
    const way = new OnTheWay();
    way.wait(candidate(1));
    expect(way.beginJudging()).toEqual(candidate(1));
    way.wait(candidate(2));
    expect(way.beginJudging()).toBeNull();
    expect([1, 2, 3].map((number) => way.isUnjudged(number))).toEqual([true, true, false]);
    way.endJudging();
    way.beginTrial(version(1), 'canary');
    expect(way.beginJudging()).toBeNull();
    way.endTrial();
    expect(way.beginJudging()).toEqual(candidate(2));
    expect(way.waiting).toBeNull();
    expect(way.judging).toEqual(version(2));
  });
});

it('refuses to put two candidates at one place', () => {
  const way = new OnTheWay();
  way.wait(candidate(1));
  way.beginTrial(version(2), 'shadow');
  expect(thrownBy(() => way.wait(candidate(3)))).toEqual(refused);
  expect(thrownBy(() => way.beginTrial(version(3), 'canary'))).toEqual(refused);
  expect(way.waiting).toEqual(version(1));
  expect(way.onTrial).toEqual(version(2));
});

it('refuses to let a candidate leave a place where none is', () => {
  const way = new OnTheWay();
  const moves = [() => way.stopWaiting(), () => way.endAdopting(), () => way.endJudging(), () => way.endTrial()];
  for (const move of moves) expect(thrownBy(move)).toEqual(refused);
});
