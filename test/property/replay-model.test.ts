import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openReplayReader, openReplayStore, type ReplayChange, type ScoreWrite } from '../../src/replay/index.js';
import { temporaryDirectory } from '../unit/replay/directory.js';
import { admission, completion, scoreWrite } from '../unit/replay/records.js';

type Step =
  | { readonly type: 'admit'; readonly id: string }
  | { readonly type: 'complete'; readonly id: string; readonly state: 'finished' | 'cancelled' | 'aborted' }
  | { readonly type: 'score'; readonly items: readonly ScoreWrite[] }
  | { readonly type: 'reopen' };

const id = fc.constantFrom('a', 'b', 'c');
const item: fc.Arbitrary<ScoreWrite> = fc
  .record({
    generationId: id,
    rater: fc.constantFrom('ann', 'bob'),
    value: fc.constantFrom(null, 0, 0.5, 1),
    idempotencyKey: fc.constantFrom('', '', 'k1', 'k2'),
  })
  .map(({ generationId, value, ...over }) => scoreWrite(generationId, value, over));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant('admit' as const), id }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('complete' as const),
      id,
      state: fc.constantFrom('finished' as const, 'cancelled' as const, 'aborted' as const),
    }),
  },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('score' as const), items: fc.array(item, { maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
);

/** The store as plain maps: what each call must answer. */
class Model {
  readonly states = new Map<string, string>();
  readonly scores = new Map<string, { value: number; sequence: number }>();
  readonly keys = new Map<string, { content: string; sequence: number }>();
  readonly changes: ReplayChange[] = [];

  admit(generationId: string): boolean {
    if (this.states.has(generationId)) return false;
    this.states.set(generationId, 'running');
    return true;
  }

  complete(generationId: string, state: string): boolean {
    if (this.states.get(generationId) !== 'running') return false;
    this.states.set(generationId, state);
    if (state === 'finished')
      this.changes.push({ sequence: this.changes.length + 1, type: 'generation', generationId });
    return true;
  }

  score(write: ScoreWrite): string {
    const { generationId, rater, metric, value, idempotencyKey } = write;
    const content = JSON.stringify([generationId, rater, metric, value]);
    const known = idempotencyKey === '' ? undefined : this.keys.get(idempotencyKey);
    if (known !== undefined) return known.content === content ? `duplicate ${known.sequence}` : 'IDEMPOTENCY_CONFLICT';
    if (!this.states.has(generationId)) return 'GENERATION_NOT_FOUND';
    const sequence = this.changes.length + 1;
    this.changes.push({ sequence, type: 'score', generationId, rater, metric, value });
    if (idempotencyKey !== '') this.keys.set(idempotencyKey, { content, sequence });
    const key = JSON.stringify([generationId, rater, metric]);
    const existed = this.scores.has(key);
    if (value === null) this.scores.delete(key);
    else this.scores.set(key, { value, sequence });
    return `${value === null ? 'retracted' : existed ? 'replaced' : 'stored'} ${sequence}`;
  }

  reopen(): void {
    for (const [generationId, state] of this.states) if (state === 'running') this.states.set(generationId, 'aborted');
  }
}

test('any order of writes and reopenings answers and leaves what plain maps would', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const path = join(temporaryDirectory(), 'replay.sqlite');
      const model = new Model();
      let store = await openReplayStore({ path });
      try {
        for (const step of steps) {
          if (step.type === 'admit') {
            const done = await store.admit([admission(step.id)]).then(
              () => true,
              () => false,
            );
            expect(done).toBe(model.admit(step.id));
          } else if (step.type === 'complete') {
            const done = await store.complete([completion(step.id, { state: step.state })]).then(
              () => true,
              () => false,
            );
            expect(done).toBe(model.complete(step.id, step.state));
          } else if (step.type === 'score') {
            const outcomes = await store.score(step.items);
            const said = outcomes.map((o) => (o.status === 'refused' ? o.code : `${o.status} ${o.sequence}`));
            expect(said).toEqual(step.items.map((write) => model.score(write)));
          } else {
            await store.close();
            store = await openReplayStore({ path });
            model.reopen();
          }
        }
        const ids = [...model.states.keys()];
        expect((await store.readGenerations(ids)).map((g) => g.state)).toEqual([...model.states.values()]);
        const scores = await store.readScores(ids);
        const held = scores.map((s) => [
          JSON.stringify([s.generationId, s.rater, s.metric]),
          { value: s.value, sequence: s.sequence },
        ]);
        expect(Object.fromEntries(held)).toEqual(Object.fromEntries(model.scores));
        const reader = openReplayReader(path);
        expect(reader.readSince(0, 1000)).toEqual(model.changes);
        reader.close();
      } finally {
        await store.close();
      }
    }),
    { numRuns: 25, seed: 20260 },
  );
});
