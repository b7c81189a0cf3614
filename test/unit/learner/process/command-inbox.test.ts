import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CommandInbox } from '../../../../src/learner/process/command-inbox.js';

const requests = ['relearn', 'changed', 'go_on'] as const;

const action = fc.oneof(
  fc.record({ type: fc.constant('weights' as const), digest: fc.string({ maxLength: 3 }) }),
  fc.record({ type: fc.constant('request' as const), request: fc.constantFrom(...requests) }),
  fc.record({ type: fc.constant('take' as const), request: fc.constantFrom(...requests) }),
  fc.record({ type: fc.constant('take_weights' as const) }),
);

test('an inbox hands out every weights command once and in order, and every request until it is taken', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const inbox = new CommandInbox();
      const weights: string[] = [];
      const asked = new Set<string>();
      for (const one of actions) {
        if (one.type === 'weights') {
          weights.push(one.digest);
          inbox.put({ type: 'rejected', adapterDigest: one.digest });
        } else if (one.type === 'request') {
          asked.add(one.request);
          inbox.put(one.request === 'relearn' ? { type: one.request, number: 1 } : { type: one.request });
        } else if (one.type === 'take') {
          expect(inbox.take(one.request)).toBe(asked.delete(one.request));
        } else {
          const [oldest] = weights.splice(0, 1);
          expect(inbox.takeWeightsCommand()).toEqual(
            oldest === undefined ? undefined : { type: 'rejected', adapterDigest: oldest },
          );
        }
        expect(inbox.isEmpty).toBe(weights.length === 0 && asked.size === 0);
        expect(inbox.stopRequested).toBe(false);
      }
    }),
  );
});

test('an inbox that holds a command does not make the learner wait', async () => {
  const inbox = new CommandInbox();
  inbox.put({ type: 'changed' });
  await inbox.wait(null);
});

test('a command ends the wait for it', async () => {
  const inbox = new CommandInbox();
  const waiting = inbox.wait(null);
  inbox.put({ type: 'stop' });
  await waiting;
  expect(inbox.stopRequested).toBe(true);
});
