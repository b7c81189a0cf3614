/** The events that the learner publishes. */

import { expect, it } from 'vitest';
import { EventLog } from '../../../../src/agent/events/event-log.js';
import { LearnerEventPublisher } from '../../../../src/agent/events/learner-events.js';
import type { LoopEvent } from '../../../../src/agent/events/types.js';
import { nothingLearned } from '../../../../src/learner/process/status.js';

it('reports the progress of the learner even if the clock was set back by an hour', () => {
  const published: LoopEvent[] = [];
  const journal = {
    restored: [],
    lastSequence: 0,
    append: (event: LoopEvent) => void published.push(event),
    close: () => undefined,
  };
  let nowMs = 10_000_000;
  const publisher = new LearnerEventPublisher(new EventLog({ now: () => 0, journal }), () => nowMs);
  const report = () => {
    published.length = 0;
    publisher.publish({ type: 'progress', progress: { ...nothingLearned, state: 'training' } });
    return published.filter(({ type }) => type === 'learner_progress').length;
  };
  expect(report()).toBe(1);
  expect(report()).toBe(0);
  nowMs -= 3_600_000;
  expect(report()).toBe(1);
  expect(report()).toBe(0);
});

it('reports a learner that starves, with its figures, and that it gets enough again', () => {
  const published: LoopEvent[] = [];
  const journal = {
    restored: [],
    lastSequence: 0,
    append: (event: LoopEvent) => void published.push(event),
    close: () => undefined,
  };
  const publisher = new LearnerEventPublisher(new EventLog({ now: () => 0, journal }), () => 0);
  const numbers = { processor_share: 0.1, step_ms: 2000 };
  publisher.publish({ type: 'starved', message: 'training gets 10 % of a core', numbers });
  publisher.publish({ type: 'recovered', message: 'training gets 80 % of a core again', numbers: {} });
  expect(published).toMatchObject([
    { type: 'learner_starved', detail: 'training gets 10 % of a core', numbers },
    { type: 'starvation_ended', detail: 'learner: training gets 80 % of a core again' },
  ]);
});
