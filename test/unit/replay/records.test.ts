/** Lines of an import: what they may hold, and when two records are the same. */

import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatRecord, openReplayStore, parseRecord } from '../../../src/replay/index.js';
import { temporaryFolder } from '../../support/folders.js';

const id = '00000000-0000-7000-8000-000000000001';
const generation = {
  format: 1,
  type: 'generation',
  id,
  origin: 'sampled',
  state: 'finished',
  finishReason: 'stop',
  endOfSequence: true,
  packageDigest: 'package',
  version: 3,
  adapterDigest: 'adapter',
  subject: 'ann',
  createdAtMs: 1000,
  finishedAtMs: 2000,
  metadata: { b: { y: 1, x: [{ q: 1, p: 2 }] }, a: 'text' },
  prompt: { messages: [{ role: 'user', content: 'Hi' }] },
  promptTokens: [1, 2],
  text: 'Hello.',
  tokens: [9, 2],
  sampling: { temperature: 1, topP: 0.5 },
  logprobs: [-0.5, -1.25],
  sampledLogprobs: [-0.25, -1],
};
const line = JSON.stringify(generation);
const score = JSON.stringify({
  format: 1,
  type: 'score',
  generationId: id,
  rater: 'ann',
  metric: 'score',
  value: 0.5,
  createdAtMs: 3000,
});

/** The line with a field in another spelling. */
function withField(name: keyof typeof generation, json: string): string {
  return line.replace(`"${name}":${JSON.stringify(generation[name])}`, `"${name}":${json}`);
}

/** The value with the keys of all objects in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, one]) => [key, reversed(one)]),
  );
}

async function importInto(lines: readonly string[]) {
  const store = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
  onTestFinished(() => store.close());
  const outcomes = await store.importRecords(lines.map(parseRecord));
  return { store, outcomes };
}

describe('a record that is stored already', () => {
  it.each([
    ['has its keys in another order, at every depth', JSON.stringify(reversed(generation))],
    ['spells its numbers in another way', withField('version', '3e0').replaceAll('-0.5,', '-5.0E-1,')],
    ['spells its texts in another way', withField('text', '"Hell\\u006f."')],
    ['ends with a carriage return', `${line}\r`],
  ])('is skipped if it %s', async (_, other) => {
    expect(other).not.toBe(line);
    const { outcomes } = await importInto([line, other]);
    expect(outcomes.map(({ status }) => status)).toEqual(['imported', 'skipped']);
  });

  it.each([
    ['an element of a list moved', withField('tokens', '[2,9]')],
    ['a nested value changed', withField('metadata', '{"b":{"y":1,"x":[{"q":1,"p":3}]},"a":"text"}')],
    ['a nested key was added', withField('metadata', '{"b":{"y":1,"x":[{"q":1,"p":2,"r":0}]},"a":"text"}')],
  ])('is refused if %s', async (_, other) => {
    const { outcomes } = await importInto([line, other]);
    expect(outcomes[1]).toMatchObject({ status: 'refused', code: 'RECORD_CONFLICT' });
  });
});

describe('a line', () => {
  it.each(['metadata', 'sampling', 'prompt'] as const)('keeps a key of %s whatever it is called', async (name) => {
    const json = '{"__proto__":{"constructor":1},"toString":"x","":null,"half":"\\ud800"}';
    const { store } = await importInto([withField(name, json)]);
    const [record] = (await store.exportPage({ after: 0 })).records;
    expect(record && formatRecord(record)).toContain(`"${name}":${json}`);
  });

  it.each([
    ['is no JSON', '{', 'not JSON'],
    ['holds a key twice', line.replace('"subject":"ann"', '"subject":"ann","subject":"eve"'), 'same key twice'],
    ['holds a nested key twice', withField('metadata', '{"a":1,"b":[{"c":1,"c":1}]}'), 'same key twice'],
    ['holds an integer beyond 2^53', withField('metadata', '{"a":[9007199254740993]}'), 'metadata: .*beyond 2\\^53'],
    ['holds a number beyond all floats', withField('sampling', '{"a":1e999}'), 'sampling: .*too large'],
    ['holds such a number in its prompt', withField('prompt', '{"prompt":-1e999}'), 'prompt: .*too large'],
    ['holds a log-probability beyond 32 bits', withField('logprobs', '[-1e39,0]'), 'logprobs: .*32-bit'],
    ['holds a time beyond 2^53', withField('createdAtMs', '9007199254740993'), 'createdAtMs'],
    ['has no prompt', line.replace(/"prompt":\{.*?\]\},/, ''), 'prompt: is missing'],
    ['has a list for its metadata', withField('metadata', '[]'), 'metadata: must be an object'],
    ['is nested deeply', withField('metadata', `{"a":${'['.repeat(100)}${']'.repeat(100)}}`), 'levels deep'],
    ['is nested beyond the stack', '['.repeat(1_000_000), 'levels deep'],
    ['has half a surrogate pair in a text', withField('text', '"\\ud83d"'), 'text: .*surrogate'],
    ['has one in a rater', score.replace('"ann"', '"\\udc00"'), 'rater: .*surrogate'],
    ['has another field', score.replace('{', '{"__proto__":1,'), 'Unrecognized key|not a record'],
  ])('is refused if it %s', (_, wrong, why) => {
    const refusal = { code: 'INVALID_REQUEST', message: expect.stringMatching(new RegExp(why)) };
    expect(() => parseRecord(wrong)).toThrow(expect.objectContaining(refusal));
  });

  it('is refused with a short message, however many members it has that no record has', () => {
    const more = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`member${i}`, 1]));
    expect(() => parseRecord(JSON.stringify({ ...generation, ...more }))).toThrow(
      /^the line is not a record: .{1,250}$/,
    );
  });

  it('may hold colons, brackets and escaped quotes in its texts', () => {
    const text = String.raw`"{\"a\":[[[{{:\\\":"`;
    expect(parseRecord(withField('text', text))).toMatchObject({ generation: { text: JSON.parse(text) } });
  });
});
