/** Preferences and edits on the real server: which are stored and which are refused, and that a bad item affects no other. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { edit, type FeedbackItem, type FeedbackOutcome, type HoneClient, prefer } from '../../client/index.js';
import { hone, honeWithInput } from '../support/command.js';
import { startServer, type TestServer } from '../support/server.js';

let server: TestServer;
let client: HoneClient;
const missing = '01920000-0000-7000-8000-000000000000';

beforeAll(async () => {
  server = await startServer();
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

async function generateIds(n: number, prompt = 'compare us'): Promise<readonly string[]> {
  const { completions } = await client.generate({ prompt, n, maxTokens: 4, ignoreEos: true });
  return completions.map(({ generationId }) => generationId);
}

async function pair(): Promise<[string, string]> {
  const [a = '', b = ''] = await generateIds(2);
  return [a, b];
}

const statuses = (outcomes: readonly FeedbackOutcome[]) => outcomes.map(({ status }) => status);

/** Returns the wrong fields of the refused items, by position. */
const fields = (outcomes: readonly FeedbackOutcome[]) =>
  outcomes.flatMap((outcome) => (outcome.status === 'refused' ? outcome.error.violations.map((one) => one.field) : []));

describe('a preference', () => {
  it('is one per pair and rater, in whatever order the pair is named', async () => {
    const [a, b] = await pair();
    expect(statuses(await client.feedback(prefer(a, b)))).toEqual(['stored']);
    expect(statuses(await client.feedback(prefer(b, a)))).toEqual(['replaced']);
    expect(statuses(await client.feedback(prefer(a, b, { tie: true, rater: 'ann' })))).toEqual(['stored']);
    const said = async (id: string) =>
      (await client.explain(id)).preferences.map(({ outcome, rater, otherGenerationId }) => [
        outcome,
        rater,
        otherGenerationId,
      ]);
    expect((await said(a)).sort()).toEqual([
      ['tie', 'ann', b],
      ['worse', 'default', b],
    ]);
    expect((await said(b)).sort()).toEqual([
      ['better', 'default', a],
      ['tie', 'ann', a],
    ]);
    const retraction = { generationId: a, otherGenerationId: b, preference: null };
    expect(statuses(await client.feedback(retraction))).toEqual(['retracted']);
    expect(await said(b)).toEqual([['tie', 'ann', a]]);
  });

  it('is refused with the same generation, with another prompt and with an unknown generation; its neighbours are stored', async () => {
    const [a, b] = await pair();
    const [stranger = ''] = await generateIds(1, 'another prompt');
    const outcomes = await client.feedback([
      prefer(a, a),
      prefer(a, stranger),
      prefer(a, missing),
      prefer(missing, a),
      prefer(a, 'nonsense'),
      prefer(a, b),
    ]);
    expect(statuses(outcomes)).toEqual(['refused', 'refused', 'refused', 'refused', 'refused', 'stored']);
    expect(fields(outcomes)).toEqual([
      'items[0].preference.other_generation_id',
      'items[1].preference.other_generation_id',
      'items[2].preference.other_generation_id',
      'items[3].generation_id',
      'items[4].preference.other_generation_id',
    ]);
  });
});

describe('an edit', () => {
  it('is a generation of the same prompt with its own score, and the same text again is the same generation', async () => {
    const [original = ''] = await generateIds(1);
    const [first] = await client.feedback(edit(original, 'What I meant.', 0.9, { rater: 'ann' }));
    const [again] = await client.feedback(edit(original, 'What I meant.', 1, { rater: 'ann' }));
    const [other] = await client.feedback(edit(original, 'Something else.', 0.5));
    const idOf = (outcome: FeedbackOutcome | undefined) =>
      outcome !== undefined && outcome.status !== 'refused' ? outcome.generationId : undefined;
    expect([first?.status, again?.status, other?.status]).toEqual(['stored', 'replaced', 'stored']);
    expect(idOf(again)).toBe(idOf(first));
    expect(idOf(other)).not.toBe(idOf(first));
    const stored = await client.getGeneration(idOf(first) ?? '');
    expect(stored).toMatchObject({ origin: 'edit', editOf: original, text: 'What I meant.', state: 'finished' });
    expect(stored.prompt).toBe('compare us');
    // The tiny package has one token per byte; the last one is the end of sequence.
    expect(stored.tokenIds).toHaveLength('What I meant.'.length + 1);
    expect(stored.tokenIds.at(-1)).toBe(256);
    expect(stored.scores).toMatchObject([{ rater: 'ann', value: 1 }]);
    const { edits } = await client.explain(original);
    expect(edits).toEqual([
      { generationId: idOf(first), reward: 1 },
      { generationId: idOf(other), reward: 0.5 },
    ]);
  });

  it('is retracted with its score', async () => {
    const [original = ''] = await generateIds(1);
    const [outcome] = await client.feedback(edit(original, 'No, wait.', 1));
    const id = outcome?.status === 'stored' ? (outcome.generationId ?? '') : '';
    expect(statuses(await client.feedback({ generationId: id, score: null }))).toEqual(['retracted']);
    expect((await client.explain(id)).obstacles).toContain('no_feedback');
  });

  it('is refused if it is empty, too long, without a score or of an unknown generation; its neighbours are stored', async () => {
    const [original = ''] = await generateIds(1);
    const outcomes = await client.feedback([
      edit(original, '', 1),
      edit(original, 'text', Number.NaN),
      edit(original, 'x'.repeat(120), 1),
      edit(missing, 'text', 1),
      edit(original, 'x'.repeat(100), 1),
      { generationId: original, score: 0 },
    ]);
    expect(statuses(outcomes)).toEqual(['refused', 'refused', 'refused', 'refused', 'stored', 'stored']);
    expect(fields(outcomes)).toEqual([
      'items[0].edit.text',
      'items[1].edit.score',
      'items[2].edit.text',
      'items[3].generation_id',
    ]);
  });
});

describe('feedback of every kind', () => {
  const other = (item: FeedbackItem): FeedbackItem => {
    if (item.edit !== undefined) return { ...item, edit: 'another text' };
    return item.preference !== undefined ? { ...item, preference: 'tie' } : { ...item, score: 0.125 };
  };

  it.each([
    ['a score', (a: string) => ({ generationId: a, score: 0.5 })],
    ['a retraction', (a: string) => ({ generationId: a, score: null })],
    ['a preference', (a: string, b: string) => prefer(a, b)],
    ['an edit', (a: string) => edit(a, 'the same text', 1)],
  ])('is stored once if %s is sent twice with one key, and refused if its content differs', async (_, make) => {
    const [a, b] = await pair();
    const item: FeedbackItem = { ...make(a, b), idempotencyKey: `once ${a}` };
    const [first] = await client.feedback(item);
    const [again] = await client.feedback(item);
    expect(again).toEqual({ ...first, status: 'duplicate' });
    const conflict = { code: 'IDEMPOTENCY_CONFLICT', status: 'ALREADY_EXISTS' };
    await expect(client.feedback(other(item))).rejects.toMatchObject(conflict);
    await expect(client.feedback({ ...item, rater: 'somebody else' })).rejects.toMatchObject(conflict);
  });

  it('is accepted before its generation has ended', async () => {
    for await (const event of client.stream({ prompt: 'early', n: 2, maxTokens: 64, ignoreEos: true })) {
      if (event.type !== 'started') continue;
      const [a = '', b = ''] = event.generationIds;
      const outcomes = await client.feedback([{ generationId: a, score: 1 }, prefer(a, b), edit(b, 'Rather this.', 1)]);
      expect(statuses(outcomes)).toEqual(['stored', 'stored', 'stored']);
    }
  });

  it('is acknowledged in order on a stream, in which a refused item affects no other', async () => {
    const [a, b] = await pair();
    const stream = client.feedbackStream();
    const items = [prefer(a, b), prefer(a, a), edit(a, 'By stream.', 1), edit(a, '', 1), { generationId: b, score: 1 }];
    const outcomes = await Promise.all(items.map((item) => stream.send(item)));
    await stream.close();
    expect(statuses(outcomes)).toEqual(['stored', 'refused', 'stored', 'refused', 'stored']);
    expect(outcomes.map(({ position }) => position)).toEqual([0, 1, 2, 3, 4]);
  });

  it('is counted in the status', async () => {
    const before = (await client.status()).replay;
    const [a, b] = await pair();
    await client.feedback([prefer(a, b), edit(a, 'Counted.', 1)]);
    const after = (await client.status()).replay;
    expect(after.scores - before.scores).toBe(1);
    expect(after.generations - before.generations).toBe(3);
  });
});

describe('the command', () => {
  it('stores preferences and ties, and retracts them', async () => {
    const [a, b] = await pair();
    const { address } = server.ready;
    expect(await hone(address, 'prefer', a, b)).toMatchObject({ code: 0, out: 'stored, on disk\n' });
    expect(await hone(address, 'prefer', b, a, '--tie', '--json')).toMatchObject({ code: 0 });
    expect((await client.explain(a)).preferences).toMatchObject([{ outcome: 'tie' }]);
    expect(await hone(address, 'prefer', a, b, '--retract')).toMatchObject({ code: 0, out: 'retracted, on disk\n' });
    expect(await hone(address, 'prefer', a, a)).toMatchObject({ code: 4 });
    expect(await hone(address, 'prefer', a, b, '--tie', '--retract')).toMatchObject({ code: 2 });
  });

  it('stores an edit from an argument and from standard input, and prints how to retract it', async () => {
    const [original = ''] = await generateIds(1);
    const { address } = server.ready;
    const edited = await hone(address, 'edit', original, 'By hand.', '--score', '1', '--rater', 'ann');
    expect(edited).toMatchObject({ code: 0, out: 'stored, on disk\n' });
    const [, id = '', rest = ''] = /feedback (\S+) (--retract.*)\n$/.exec(edited.err) ?? [];
    expect(await client.getGeneration(id)).toMatchObject({ text: 'By hand.' });
    expect(await hone(address, 'feedback', id, ...rest.split(' '))).toMatchObject({
      code: 0,
      out: 'retracted, on disk\n',
    });
    const piped = await honeWithInput(address, 'From a pipe.\n', 'edit', original, '-', '--score', '0.5', '--json');
    const { generationId } = JSON.parse(piped.out) as { generationId: string };
    expect(await client.getGeneration(generationId)).toMatchObject({ text: 'From a pipe.' });
    expect(await hone(address, 'edit', original, 'No score.')).toMatchObject({ code: 2 });
  });

  it('reads all kinds of feedback from standard input', async () => {
    const [a, b] = await pair();
    const items = [
      { generationId: a, score: 1 },
      { generationId: a, otherGenerationId: b, preference: 'better' },
      { generationId: b, edit: 'From a line.', score: 1 },
    ];
    const lines = items.map((item) => JSON.stringify(item)).join('\n');
    expect(await honeWithInput(server.ready.address, lines, 'feedback')).toMatchObject({ code: 0, out: '3 stored\n' });
    const wrong = await honeWithInput(server.ready.address, '{"generationId":"a","edit":"text"}', 'feedback');
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.err).toContain('line 1 needs "score"');
  });
});
