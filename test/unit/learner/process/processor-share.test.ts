import { expect, it } from 'vitest';
import type { LearnerEvent } from '../../../../src/learner/process/messages.js';
import { ProcessorShare } from '../../../../src/learner/process/processor-share.js';
import type { LearnerState } from '../../../../src/learner/process/status.js';
import { nothingLearned } from '../../../../src/learner/process/status.js';

/** A share on a clock that the test moves. */
function scripted() {
  let [now, processorMs] = [0, 0];
  const share = new ProcessorShare({ now: () => now, processorMs: () => processorMs });
  const report = (state: LearnerState): LearnerEvent[] => share.see({ ...nothingLearned, state, stepMs: 2000 });
  report('training');
  /** Lets time pass in a state, on a number of cores. */
  const pass = (seconds: number, cores: number, state: LearnerState = 'training'): LearnerEvent[] => {
    now += seconds * 1000;
    processorMs += seconds * 1000 * cores;
    return report(state);
  };
  return { pass, report };
}

const shareIn = (events: readonly LearnerEvent[]): number | undefined =>
  events.flatMap((event) => (event.type === 'progress' ? [event.progress.processorShare] : []))[0];
const starvationIn = (events: readonly LearnerEvent[]) => events.filter(({ type }) => type === 'starved');

it('reports how many cores training got, once it has trained for long enough', () => {
  const { pass } = scripted();
  expect(shareIn(pass(19, 1.5))).toBeUndefined();
  expect(shareIn(pass(1, 1.5))).toBeCloseTo(1.5);
  expect(shareIn(pass(20, 0.5))).toBeCloseTo(0.5);
});

it('does not count the time between rounds, when there is nothing to do', () => {
  const { pass, report } = scripted();
  pass(10, 1, 'idle');
  pass(3600, 0, 'idle');
  report('training');
  expect(shareIn(pass(10, 1))).toBeCloseTo(1);
});

it('reports once that training starves, with what to do, and again only after it had enough', () => {
  const { pass } = scripted();
  expect(starvationIn(pass(15, 0.1))).toEqual([]);
  const [starved] = starvationIn(pass(15, 0.1));
  expect(starved).toMatchObject({
    message: expect.stringMatching(/gets 10 % of a core, a step takes 2\.0 s.*--threads/),
    numbers: { processor_share: expect.closeTo(0.1), step_ms: 2000 },
  });
  expect(starvationIn(pass(100, 0.1))).toEqual([]);
  expect(starvationIn(pass(100, 0.3))).toEqual([]);
  expect(starvationIn(pass(100, 0.1))).toEqual([]);
  expect(starvationIn(pass(100, 0.9))).toEqual([]);
  expect(starvationIn(pass(100, 0.1))).toHaveLength(1);
});

it('does not report starvation for steps that have the processor to themselves, on any number of threads', () => {
  const { pass } = scripted();
  for (const cores of [0.9, 1, 8]) expect(starvationIn(pass(60, cores))).toEqual([]);
});
