/** How the text of an edit becomes tokens after its prompt, and which texts are refused. */

import { expect, it } from 'vitest';
import { encodeEdits } from '../../../../src/agent/feedback/encode-edits.js';
import type { StartedEvent } from '../../../../src/agent/generation/types.js';
import { HoneError } from '../../../../src/errors.js';
import { encodeAtOnce } from '../../../../src/package/index.js';
import type { Package } from '../../../../src/package/types.js';
import type { Generation } from '../../../../src/replay/types.js';
import { openLoop } from '../../../support/agent/loop.js';
import { finished, started, token } from '../../../support/agent/scripted-policy.js';

const id = '01920000-0000-7000-8000-00000000000a';
const pkg = {
  digest: 'package',
  config: { contextLength: 10, vocabularySize: 128, eosTokenIds: [90, 91], turnEndTokenId: 90, textEndTokenId: 91 },
  tokenizer: {
    charactersPerToken: 2,
    encodeText: () => [99],
    encodeCompletion: (text: string) => [...text].map((letter) => letter.charCodeAt(0)),
  },
} as unknown as Package;

const promptJson = JSON.stringify({ prompt: 'x' });
const stored = { id, packageDigest: 'package', promptTokens: Uint32Array.of(1, 2, 3, 4), promptJson } as Generation;

async function encode(text: string, over: Partial<Generation> = {}, by = pkg) {
  const draft = {
    type: 'edit',
    generationId: id,
    rater: 'r',
    metric: 'm',
    idempotencyKey: '',
    createdAtMs: 1,
  } as const;
  const replay = { readGenerations: async () => [{ ...stored, ...over }] };
  const edits = [{ ...draft, text, value: 1 }];
  const [edit] = await encodeEdits(edits, by, encodeAtOnce(by.tokenizer), replay);
  return edit instanceof HoneError ? edit.violations.map(({ field }) => field) : [...(edit?.tokens ?? [])];
}

it('ends a text as the tokenizer does after a plain prompt, and as the chat template does after a chat', async () => {
  expect(await encode('ab')).toEqual([97, 98, 91]);
  const messages = [{ role: 'user', content: 'x' }];
  expect(await encode('ab', { promptJson: JSON.stringify({ messages }) })).toEqual([97, 98, 90]);
  expect(await encode('ab', { promptJson: JSON.stringify({ prompt: '{"messages":' }) })).toEqual([97, 98, 91]);
});

it('refuses a text that, with its end of sequence, does not fit into the context after the prompt', async () => {
  expect(await encode('abcde')).toHaveLength(6);
  expect(await encode('abcdef')).toEqual(['edit.text']);
  expect(await encode('x'.repeat(1_000_000))).toEqual(['edit.text']);
});

it('refuses a text that holds an added token which the model does not have', async () => {
  expect(await encode('a\u0080')).toEqual(['edit.text']);
});

const drafts = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    type: 'edit' as const,
    generationId: `01920000-0000-7000-8000-${String(i).padStart(12, '0')}`,
    rater: 'r',
    metric: 'm',
    idempotencyKey: '',
    createdAtMs: 1,
    text: 'ab',
    value: 1,
  }));

it('refuses a text that is too long by its length without encoding it', async () => {
  let encoded = 0;
  const tokenizer = {
    ...pkg.tokenizer,
    encodeCompletion: () => {
      encoded += 1;
      return [];
    },
  };
  expect(await encode('x'.repeat(13), {}, { ...pkg, tokenizer })).toEqual(['edit.text']);
  expect(encoded).toBe(0);
  await encode('x'.repeat(12), {}, { ...pkg, tokenizer });
  expect(encoded).toBe(1);
});

it('reads the generations of many edits a few at a time', async () => {
  const reads: number[] = [];
  const replay = {
    readGenerations: async (ids: readonly string[]) => {
      reads.push(ids.length);
      return ids.map((one) => ({ ...stored, id: one }));
    },
  };
  const edits = await encodeEdits(drafts(40), pkg, encodeAtOnce(pkg.tokenizer), replay);
  expect(edits.every((edit) => !(edit instanceof HoneError))).toBe(true);
  expect(reads).toEqual([16, 16, 8]);
});

it('fails as a whole if the encoder is busy, because nothing is stored yet', async () => {
  const replay = {
    readGenerations: async () => drafts(2).map(({ generationId }) => ({ ...stored, id: generationId })),
  };
  const busy = { encode: () => Promise.reject(new HoneError('QUEUE_FULL', 'busy', { retryAfterMs: 5 })) };
  await expect(encodeEdits(drafts(2), pkg, busy, replay)).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    retryAfterMs: 5,
  });
});

it('refuses an edit of a generation of another package, because its prompt has other tokens', async () => {
  expect(await encode('ab', { packageDigest: 'other' })).toEqual(['generation_id']);
});

it('stores an edit as a generation of the same prompt with its score, and the learner hears of it', async () => {
  await using loop = await openLoop(async function* () {
    yield started;
    yield token(0, 97);
    yield finished(0, 'stop');
  });
  const events = [];
  for await (const event of loop.agent.generate({ prompt: 'ab' })) events.push(event);
  const [generationId = ''] = (events[0] as StartedEvent).generationIds;
  const edited = await loop.agent.feedback([
    { generationId: '01920000-0000-7000-8000-000000000000', edit: { text: 'c', score: 1 } },
    { generationId, edit: { text: 'cd', score: 0.75 }, rater: 'ann' },
    { generationId, edit: { text: 'x'.repeat(300), score: 1 } },
    { generationId, score: 0.25 },
  ]);
  expect(edited.map(({ status }) => status)).toEqual(['refused', 'stored', 'refused', 'stored']);
  expect(edited[0]).toMatchObject({
    error: { code: 'GENERATION_NOT_FOUND', violations: [{ field: 'items[0].generation_id' }] },
  });
  expect(edited[2]).toMatchObject({
    error: { code: 'INVALID_REQUEST', violations: [{ field: 'items[2].edit.text' }] },
  });
  const { generationId: editId = '' } = edited[1] as { generationId?: string };
  const edit = await loop.agent.getGeneration(editId);
  expect(edit.generation).toMatchObject({ origin: 'edit', editOf: generationId, text: 'cd', state: 'finished' });
  expect(edit.scores).toMatchObject([{ rater: 'ann', value: 0.75 }]);
  const original = await loop.agent.getGeneration(generationId);
  expect(edit.generation.groupKey).toBe(original.generation.groupKey);
  expect(original.scores).toMatchObject([{ rater: 'default', value: 0.25 }]);
  expect(loop.learner.told).toEqual(['changed']);
});

it('writes scores that come while an edit is being encoded after the edit, so that the later score counts', async () => {
  await using loop = await openLoop(async function* () {
    yield started;
    yield token(0, 97);
    yield finished(0, 'stop');
  });
  const events = [];
  for await (const event of loop.agent.generate({ prompt: 'ab' })) events.push(event);
  const [generationId = ''] = (events[0] as StartedEvent).generationIds;
  const read = loop.replay.readGenerations.bind(loop.replay);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  loop.replay.readGenerations = async (ids) => {
    await released;
    return read(ids);
  };
  const first = loop.agent.feedback([
    { generationId, score: 1 },
    { generationId, edit: { text: 'c', score: 1 } },
  ]);
  const second = loop.agent.feedback([{ generationId, score: 0.25 }]);
  release();
  await Promise.all([first, second]);
  expect((await loop.replay.readScores([generationId])).map(({ value }) => value)).toEqual([0.25]);
  expect((await loop.agent.feedback([{ generationId, score: 0.5 }]))[0]).toMatchObject({ status: 'replaced' });
});
