/** Whatever a store holds, an export that is imported elsewhere, even reordered within its lines, is exported the same. */

import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatRecord, openReplayStore, parseRecord, type ReplayStore } from '../../src/replay/index.js';
import { temporaryFolder } from '../support/folders.js';

const ids = [1, 2, 3, 4].map((n) => `00000000-0000-7000-8000-00000000000${n}`);
const text = fc.string({ unit: 'binary', maxLength: 12 });
const odd = fc.constantFrom('__proto__', 'constructor', '', '\u0000', '\uFEFF', '\u2028', '👋', 'a"b\\c');
const anyText = fc.oneof(text, odd);
const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, min: -1e15, max: 1e15 }));
const json = fc.letrec((tie) => ({
  any: fc.oneof({ maxDepth: 4 }, number, fc.boolean(), fc.constant(null), anyText, tie('list'), tie('object')),
  list: fc.array(tie('any'), { maxLength: 3 }),
  object: fc
    .array(fc.tuple(anyText, tie('any')), { maxLength: 4 })
    // Unlike an assignment, this makes a key of `__proto__`.
    .map((members) => Object.fromEntries(members)),
}));
const token = fc.oneof(fc.nat({ max: 9 }), fc.constant(2 ** 32 - 1));
const logprob = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => Number(value.toPrecision(9))),
  fc.constantFrom('NaN', 'Infinity', '-Infinity'),
);
const by = {
  rater: anyText.filter((one) => one !== ''),
  metric: anyText.filter((one) => one !== ''),
  createdAtMs: fc.nat(),
};

const common = {
  format: fc.constant(1),
  packageDigest: anyText,
  version: fc.nat(),
  adapterDigest: anyText,
  subject: anyText,
  createdAtMs: fc.nat(),
  finishedAtMs: fc.nat(),
  metadata: json.object,
  prompt: json.any,
  promptTokens: fc.constant([1, 2]),
  text: anyText,
};

const generation = fc
  .record({
    ...common,
    type: fc.constant('generation'),
    origin: fc.constantFrom('sampled', 'explored', 'shadow'),
    state: fc.constantFrom('finished', 'cancelled', 'aborted'),
    finishReason: anyText,
    endOfSequence: fc.boolean(),
    sampling: json.object,
    sampled: fc.array(fc.tuple(token, logprob, logprob), { maxLength: 4 }),
  })
  .map(({ sampled, ...rest }) => ({
    ...rest,
    tokens: sampled.map(([one]) => one),
    logprobs: sampled.map(([, one]) => one),
    sampledLogprobs: sampled.map(([, , one]) => one),
  }));
const edit = fc.record({
  ...common,
  type: fc.constant('edit'),
  editOf: fc.constant(ids[0]),
  tokens: fc.array(token, { maxLength: 4 }),
});
const score = fc.record({
  format: fc.constant(1),
  type: fc.constant('score'),
  generationId: fc.constantFrom(...ids),
  value: fc.double({ noNaN: true, noDefaultInfinity: true }),
  ...by,
});

const records = fc
  .tuple(fc.tuple(...ids.map(() => fc.oneof(generation, edit))), fc.array(score, { maxLength: 6 }))
  .map(([generations, scores]) => [...generations.map((one, i) => ({ ...one, id: ids[i] })), ...scores]);

async function exported(store: ReplayStore): Promise<string[]> {
  const lines: string[] = [];
  let page = await store.exportPage({ after: 0 });
  for (;;) {
    lines.push(...page.records.map(formatRecord));
    if (page.next === null) return lines;
    page = await store.exportPage({ after: page.next, id: page.id });
  }
}

/** The line with the members of every object in the opposite order, and spaces between them. */
function respelled(line: string): string {
  const turn = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turn);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, one]) => [key, turn(one)]),
    );
  };
  return JSON.stringify(turn(JSON.parse(line)), null, '\t');
}

test('an export that is imported elsewhere is exported the same, and is found to be stored already', async () => {
  await fc.assert(
    fc.asyncProperty(records, async (found) => {
      await using first = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
      const outcomes = await first.importRecords(found.map((record) => parseRecord(JSON.stringify(record))));
      // Of two scores with the same key the second is refused.
      expect(outcomes.slice(0, ids.length).every(({ status }) => status === 'imported')).toBe(true);
      const lines = await exported(first);
      await using second = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
      const there = await second.importRecords(lines.map(respelled).map(parseRecord));
      expect(there.every(({ status }) => status === 'imported')).toBe(true);
      // The order of keys within an object is the only thing that the spelling decides.
      expect((await exported(second)).map((line) => JSON.parse(line))).toEqual(lines.map((line) => JSON.parse(line)));
      for (const store of [first, second]) {
        for (const spelled of [lines, lines.map(respelled)]) {
          const again = await store.importRecords(spelled.map(parseRecord));
          expect(again.every(({ status }) => status === 'skipped')).toBe(true);
        }
      }
      await using third = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
      await third.importRecords(lines.map(parseRecord));
      expect(await exported(third)).toEqual(lines);
    }),
    { numRuns: 25 },
  );
});
