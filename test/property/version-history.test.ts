/** Applies random entries to the version history and checks its invariants. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LogEntry, VersionHistory } from '../../src/versions/history.js';
import type { Version } from '../../src/versions/index.js';

const number = fc.integer({ min: -1, max: 12 });
type Attempt =
  | { readonly type: 'adopt' }
  | { readonly type: 'base' }
  | { readonly type: 'promoted'; readonly number: number }
  | { readonly type: 'rejected'; readonly number: number; readonly reason: string }
  | { readonly type: 'rollback'; readonly number: number }
  | { readonly type: 'judged'; readonly number: number; readonly verdict: [] }
  | { readonly type: 'trial'; readonly number: number; readonly state: 'shadow' | 'canary' }
  | { readonly type: 'set_aside'; readonly number: number };

const attempt: fc.Arbitrary<Attempt> = fc.oneof(
  fc.constant({ type: 'adopt' } as const),
  fc.constant({ type: 'base' } as const),
  fc.record({ type: fc.constant('promoted' as const), number }),
  fc.record({ type: fc.constant('rejected' as const), number, reason: fc.constant('x') }),
  fc.record({ type: fc.constant('rollback' as const), number }),
  fc.record({ type: fc.constant('judged' as const), number, verdict: fc.constant<[]>([]) }),
  fc.record({
    type: fc.constant('trial' as const),
    number,
    state: fc.constantFrom('shadow' as const, 'canary' as const),
  }),
  fc.record({ type: fc.constant('set_aside' as const), number }),
);

function version(number: number, origin: Version['origin'], parent: number | null): Version {
  const state = origin === 'base' ? 'live' : 'candidate';
  return {
    lineage: 'l',
    number,
    adapterDigest: 'd',
    packageDigest: 'p',
    state,
    createdAtMs: 0,
    parent,
    origin,
    metrics: {},
    verdict: [],
    rejectedBecause: null,
    weights: 'kept',
  };
}

const steps: Readonly<Record<string, readonly string[]>> = {
  candidate: ['candidate', 'shadow', 'canary', 'live', 'rejected'],
  shadow: ['shadow', 'candidate', 'live', 'rejected'],
  canary: ['canary', 'candidate', 'live', 'rejected'],
  live: ['live', 'retired'],
  retired: ['retired'],
  rejected: ['rejected'],
};

/** The states of a version in which each entry is allowed. */
const from: Readonly<Record<string, readonly unknown[]>> = {
  promoted: ['candidate', 'shadow', 'canary'],
  rejected: ['candidate', 'shadow', 'canary'],
  judged: ['candidate'],
  trial: ['candidate'],
  set_aside: ['shadow', 'canary'],
};

test('after any entries exactly one version is live, numbers only grow and states change only as allowed', () => {
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 40 }), (attempts) => {
      let history = new VersionHistory().apply({ type: 'version', version: version(0, 'base', null) });
      for (const tried of attempts) {
        const before = history;
        const next = history.nextNumber;
        const entry: LogEntry =
          tried.type === 'adopt'
            ? { type: 'version', version: version(next, 'learned', next - 1) }
            : tried.type === 'base'
              ? { type: 'version', version: version(next, 'base', null) }
              : tried.type === 'rollback'
                ? { type: 'version', version: version(next, 'rollback', tried.number) }
                : tried;
        const state = 'number' in tried ? before.versions[tried.number]?.state : undefined;
        try {
          history = history.apply(entry);
          if (tried.type in from) expect(from[tried.type]).toContain(state);
        } catch (error) {
          expect(error).toMatchObject({ name: 'HoneError' });
          if (tried.type in from) expect(from[tried.type]).not.toContain(state);
          expect(history).toBe(before);
        }
        const live = history.versions.filter((v) => v.state === 'live');
        expect(live).toEqual([history.live]);
        expect(history.versions.map((v) => v.number)).toEqual(history.versions.map((_, i) => i));
        for (const old of before.versions) expect(steps[old.state]).toContain(history.versions[old.number]?.state);
        expect(['base', 'learned']).toContain(history.weightsOf(history.live?.number ?? -1).origin);
      }
    }),
    { seed: 5, numRuns: 300 },
  );
});
