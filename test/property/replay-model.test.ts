/** Compares the store with a model of plain maps, over random sequences of writes and reopenings. */

import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type FeedbackWrite,
  openReplayReader,
  openReplayStore,
  type PreferenceOutcome,
  type ReplayChange,
  type ReplayStatus,
} from '../../src/replay/index.js';
import { temporaryFolder } from '../support/folders.js';
import { admission, completion, editWrite, preferenceWrite, scoreWrite } from '../support/replay/records.js';

type Step =
  | { readonly type: 'admit'; readonly id: string }
  | { readonly type: 'complete'; readonly id: string; readonly state: 'finished' | 'cancelled' | 'aborted' }
  | { readonly type: 'feedback'; readonly items: readonly FeedbackWrite[] }
  | { readonly type: 'reopen' };

const id = fc.constantFrom('a', 'b', 'c');
const by = { rater: fc.constantFrom('ann', 'bob'), idempotencyKey: fc.constantFrom('', '', 'k1', 'k2') };
const score = fc
  .record({ generationId: id, value: fc.constantFrom(null, 0, 0.5, 1), ...by })
  .map(({ generationId, value, ...over }) => scoreWrite(generationId, value, over));
const preference = fc
  .record({ generationId: id, otherId: id, outcome: fc.constantFrom(null, 'better', 'worse', 'tie'), ...by })
  .map(({ generationId, otherId, outcome, ...over }) => preferenceWrite(generationId, otherId, outcome, over));
/** Two texts per generation. The id names the edit and its generation. */
const edit = fc
  .record({ generationId: id, text: fc.constantFrom('x', 'y'), value: fc.constantFrom(0, 1), ...by })
  .map(({ generationId, text, value, ...over }) =>
    editWrite(`${generationId}${text}`, generationId, text, value, over),
  );
const item: fc.Arbitrary<FeedbackWrite> = fc.oneof({ weight: 3, arbitrary: score }, preference, edit);
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
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant('feedback' as const), items: fc.array(item, { maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
);

/** A model of the store in plain maps: it gives the expected answer of each call. */
class Model {
  readonly states = new Map<string, string>();
  readonly scores = new Map<string, { value: number; sequence: number }>();
  readonly preferences = new Map<string, { outcome: PreferenceOutcome; sequence: number }>();
  readonly keys = new Map<string, { content: string; answer: string }>();
  readonly changes: ReplayChange[] = [];

  admit(generationId: string): boolean {
    if (this.states.has(generationId)) return false;
    this.states.set(generationId, 'running');
    return true;
  }

  complete(generationId: string, state: string): boolean {
    if (this.states.get(generationId) !== 'running') return false;
    this.states.set(generationId, state);
    if (state === 'finished') this.changes.push({ sequence: this.#next, type: 'generation', generationId });
    return true;
  }

  write(item: FeedbackWrite): string {
    const { idempotencyKey, createdAtMs: _, ...rest } = item;
    const content = JSON.stringify({ ...rest, tokens: null });
    const known = idempotencyKey === '' ? undefined : this.keys.get(idempotencyKey);
    if (known !== undefined) return known.content === content ? `duplicate ${known.answer}` : 'IDEMPOTENCY_CONFLICT';
    if (!this.states.has(item.generationId)) return 'GENERATION_NOT_FOUND';
    const [status, answer] = this.#writeNew(item);
    if (answer !== '' && idempotencyKey !== '') this.keys.set(idempotencyKey, { content, answer });
    return answer === '' ? status : `${status} ${answer}`;
  }

  get #next(): number {
    return this.changes.length + 1;
  }

  /** Returns the status and the rest of the answer, which is empty for a refusal. */
  #writeNew(item: FeedbackWrite): [status: string, answer: string] {
    if (item.type === 'score') return this.#score(item.generationId, item.rater, item.metric, item.value);
    if (item.type === 'edit') {
      if (!this.states.has(item.id)) {
        this.states.set(item.id, 'finished');
        this.changes.push({ sequence: this.#next, type: 'generation', generationId: item.id });
      }
      const [status, answer] = this.#score(item.id, item.rater, item.metric, item.value);
      return [status, `${answer} ${item.id}`];
    }
    if (!this.states.has(item.otherId)) return ['GENERATION_NOT_FOUND', ''];
    if (item.otherId === item.generationId) return ['INVALID_REQUEST', ''];
    const { rater, metric } = item;
    const [generationId, otherId] = [item.generationId, item.otherId].sort() as [string, string];
    const turned = { better: 'worse', worse: 'better', tie: 'tie' } as const;
    const outcome = item.outcome !== null && generationId !== item.generationId ? turned[item.outcome] : item.outcome;
    const sequence = this.#next;
    this.changes.push({ sequence, type: 'preference', generationId, otherId, rater, metric, outcome });
    return this.#put(
      this.preferences,
      [generationId, otherId, rater, metric],
      outcome && { outcome, sequence },
      sequence,
    );
  }

  #score(generationId: string, rater: string, metric: string, value: number | null): [string, string] {
    const sequence = this.#next;
    this.changes.push({ sequence, type: 'score', generationId, rater, metric, value });
    return this.#put(this.scores, [generationId, rater, metric], value === null ? null : { value, sequence }, sequence);
  }

  #put<T>(map: Map<string, T>, parts: readonly string[], value: T | null, sequence: number): [string, string] {
    const key = JSON.stringify(parts);
    const existed = map.has(key);
    if (value === null) map.delete(key);
    else map.set(key, value);
    return [value === null ? 'retracted' : existed ? 'replaced' : 'stored', String(sequence)];
  }

  reopen(): void {
    for (const [generationId, state] of this.states) if (state === 'running') this.states.set(generationId, 'aborted');
  }
}

test('the store answers any sequence of writes and reopenings as plain maps would', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const path = join(temporaryFolder(), 'replay.sqlite');
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
          } else if (step.type === 'feedback') {
            const outcomes = await store.write(step.items);
            const answers = outcomes.map((o) =>
              o.status === 'refused' ? o.code : [o.status, o.sequence, o.generationId].filter(Boolean).join(' '),
            );
            expect(answers).toEqual(step.items.map((write) => model.write(write)));
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
        const preferences = (await store.readPreferences(ids)).map((p) => [
          JSON.stringify([p.generationId, p.otherId, p.rater, p.metric]),
          { outcome: p.outcome, sequence: p.sequence },
        ]);
        expect(Object.fromEntries(preferences)).toEqual(Object.fromEntries(model.preferences));
        const before = await store.status();
        expect(before).toMatchObject({
          generations: ids.length,
          scores: scores.length,
          preferences: preferences.length,
        });
        const reader = openReplayReader(path);
        expect(reader.readSince(0, 1000)).toEqual(model.changes);
        reader.close();
        // The counts that the writer updated equal the counts at the next opening.
        await store.close();
        store = await openReplayStore({ path });
        const running = [...model.states.values()].filter((state) => state === 'running').length;
        const counted = { ...before, running: 0, aborted: before.aborted + running };
        expect(withoutBytes(await store.status())).toEqual(withoutBytes(counted));
      } finally {
        await store.close();
      }
    }),
    { numRuns: 12, seed: 20260 },
  );
});

function withoutBytes({ fileBytes: _, usedBytes: __, logBytes: ___, ...counts }: ReplayStatus) {
  return counts;
}
