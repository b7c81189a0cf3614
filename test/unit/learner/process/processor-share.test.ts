import { expect, it } from 'vitest';
import { ProcessorShare } from '../../../../src/learner/process/processor-share.js';

/** A share on a clock that the test moves. */
function scripted() {
  let [now, processorMs] = [0, 0];
  const share = new ProcessorShare({ now: () => now });
  share.see(0, true);
  /** Lets time pass on a number of cores. @param wants whether there is something to compute after it */
  const pass = (seconds: number, cores: number, wants = true) => {
    now += seconds * 1000;
    processorMs += seconds * 1000 * cores;
    return share.see(processorMs, wants);
  };
  /** Lets time pass of which nobody can tell how much of it the process got. */
  const passUnseen = (seconds: number, wants = true) => {
    now += seconds * 1000;
    return share.see(null, wants);
  };
  return { share, pass, passUnseen };
}

it('knows how many cores a process got, once it had something to compute for long enough', () => {
  const { share, pass } = scripted();
  pass(19, 1.5);
  expect(share.cores).toBeNull();
  pass(1, 1.5);
  expect(share.cores).toBeCloseTo(1.5);
  pass(20, 0.5);
  expect(share.cores).toBeCloseTo(0.5);
});

it('does not count time in which the process waited for something', () => {
  const { share, pass } = scripted();
  expect(pass(10, 1, false)).toBeNull();
  expect(pass(3600, 0)).toBeNull();
  expect(pass(10, 1)).toBeNull();
  expect(share.cores).toBeCloseTo(1);
});

it('finds that a process starves, and again only after it had enough', () => {
  const { share, pass } = scripted();
  expect(pass(15, 0.1)).toBeNull();
  expect(pass(15, 0.1)).toBe('starved');
  expect(share.starves).toBe(true);
  expect(pass(100, 0.1)).toBeNull();
  expect(pass(100, 0.3)).toBeNull();
  expect(pass(100, 0.1)).toBeNull();
  expect(pass(100, 0.9)).toBe('recovered');
  expect(share.starves).toBe(false);
  expect(pass(100, 0.3)).toBeNull();
  expect(pass(100, 0.1)).toBe('starved');
});

it('finds that a process starves while it reports nothing, because it gets no time at all', () => {
  const { share, pass } = scripted();
  expect(Array.from({ length: 4 }, () => pass(5, 0))).toEqual([null, null, null, 'starved']);
  expect(share.cores).toBe(0);
});

it('does not take steps for starved that have the processor to themselves, on any number of threads', () => {
  const { pass } = scripted();
  for (const cores of [0.9, 1, 8]) expect(pass(60, cores)).toBeNull();
});

it('ends the starvation of a process that waits by itself for as long as the share is taken over', () => {
  const { share, pass, passUnseen } = scripted();
  expect(pass(20, 0)).toBe('starved');
  expect(pass(1, 0, false)).toBeNull();
  expect(passUnseen(19, false)).toBeNull();
  expect(passUnseen(1, false)).toBe('recovered');
  expect(passUnseen(100, false)).toBeNull();
  // What it got before the pause says nothing about the next round.
  expect(pass(1, 0)).toBeNull();
  expect(pass(19, 0)).toBeNull();
  expect(share.cores).toBeNull();
});

it('keeps the starvation over a short pause between two rounds', () => {
  const { pass } = scripted();
  expect(pass(20, 0)).toBe('starved');
  expect(pass(1, 0, false)).toBeNull();
  expect(pass(5, 0)).toBeNull();
  expect(pass(100, 0, false)).toBeNull();
});

it('spans the time until the next reading if nobody could read the processor time in between', () => {
  const { share, passUnseen, pass } = scripted();
  expect(passUnseen(30)).toBeNull();
  expect(share.cores).toBeNull();
  expect(pass(10, 0)).toBe('starved');
});

it('begins again with another process, and says whether the one before starved', () => {
  const { share, pass } = scripted();
  expect(share.forget()).toBeNull();
  share.see(0, true);
  expect(pass(20, 0)).toBe('starved');
  expect(share.forget()).toBe('recovered');
  expect(share.cores).toBeNull();
  expect(share.forget()).toBeNull();
});
