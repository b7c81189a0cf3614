import { beforeEach, describe, expect, it } from 'vitest';
import { ScoreAges } from '../../../server/metrics/score-ages.js';

let ages: ScoreAges;
let observed: number[];
beforeEach(() => {
  observed = [];
  ages = new ScoreAges((ms) => observed.push(ms));
});

/** A round that has read scores up to this sequence number. */
function round(lastSequence: number, digest: string): void {
  ages.progress({ state: 'training', lastSequence });
  ages.progress({ state: 'training', lastSequence: lastSequence + 100 });
  ages.progress({ state: 'idle', lastSequence: lastSequence + 100 });
  ages.candidate(digest);
}

describe('the time from a score to a version', () => {
  it('ends with the first live version whose round began after the score was read', () => {
    for (let sequence = 1; sequence <= 4; sequence++) ages.acknowledged(sequence, sequence * 10);
    round(2, 'a');
    ages.live('a', 100);
    expect(observed).toEqual([90, 80]);
    round(4, 'b');
    ages.live('b', 200);
    expect(observed).toEqual([90, 80, 170, 160]);
  });

  it('continues after a rejected candidate until a later one is live', () => {
    ages.acknowledged(1, 0);
    round(1, 'rejected');
    round(1, 'b');
    ages.live('b', 50);
    expect(observed).toEqual([50]);
  });

  it('is measured once, and a rollback measures nothing', () => {
    ages.acknowledged(1, 0);
    round(1, 'a');
    ages.live('of an old version', 10);
    expect(observed).toEqual([]);
    ages.live('a', 20);
    ages.live('a', 30);
    expect(observed).toEqual([20]);
  });

  it('belongs to the round that made the candidate, even if the next round has begun', () => {
    ages.acknowledged(1, 0);
    ages.acknowledged(2, 0);
    round(1, 'a');
    ages.progress({ state: 'training', lastSequence: 2 });
    ages.live('a', 10);
    expect(observed).toEqual([10]);
  });

  it('is measured for the newest scores only if too many wait', () => {
    for (let sequence = 0; sequence < 200_000; sequence++) ages.acknowledged(sequence, 0);
    round(200_000, 'a');
    ages.live('a', 1);
    expect(observed.length).toBeGreaterThanOrEqual(65_536);
    expect(observed.length).toBeLessThanOrEqual(2 * 65_536);
  });
});
