/** What the client refuses before it sends anything, and what it leaves to the server. */

import { afterEach, describe, expect, it } from 'vitest';
import { connect, type HoneClient, HoneClientError } from '../../../client/index.js';
import { richError, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.js';

let server: ScriptedServer | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

/** A server that counts the calls that reach it. */
async function counting(): Promise<{ readonly client: HoneClient; readonly calls: () => number }> {
  let calls = 0;
  const refuse = (call: { emit(name: string, error: Error): void }, done?: (error: Error) => void): void => {
    calls += 1;
    const error = richError({ code: 'NOT_FOUND', message: 'it came', reason: 'GENERATION_NOT_FOUND' });
    if (typeof done === 'function') done(error);
    else call.emit('error', error);
  };
  const named = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, refuse]));
  server = await startScriptedServer({
    generation: named('Generate', 'StreamGenerate', 'GetGeneration'),
    feedback: named('SubmitFeedback', 'ExplainGeneration', 'StreamFeedback'),
    versions: named('ListVersions', 'GetVersion', 'ExportVersion'),
    status: named('GetServerStatus'),
    learner: named('GetLearnerStatus'),
    events: named('WatchEvents'),
    admin: named(
      ...['GetMode', 'SetMode', 'PromoteVersion', 'RejectVersion', 'Rollback', 'ImportVersion', 'PauseLearner'],
      ...['ResumeLearner', 'EraseSubject', 'ExportReplay', 'ImportReplay'],
    ),
  });
  return { client: await server.connect({ retry: { maxAttempts: 1 } }), calls: () => calls };
}

async function violations(work: () => unknown): Promise<Record<string, string>> {
  try {
    const result = work();
    if (typeof (result as AsyncGenerator).next === 'function') await (result as AsyncGenerator).next();
    else await result;
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(HoneClientError);
    const { code, status, violations: found, message } = thrown as HoneClientError;
    expect({ code, status }).toEqual({ code: 'INVALID_REQUEST', status: 'INVALID_ARGUMENT' });
    for (const { field, description } of found) expect(message).toContain(`${field} ${description}`.trim());
    return Object.fromEntries(found.map(({ field, description }) => [field, description]));
  }
  throw new Error('it was not refused');
}

type Options = Record<string, unknown>;
type Any = (...args: unknown[]) => unknown;

/** Every method that makes a call: how to call it with options. */
const methods: Record<string, (client: Record<string, Any>, options: Options) => unknown> = Object.fromEntries([
  ...[
    'status',
    'learnerStatus',
    'versions',
    'mode',
    'pauseLearner',
    'resumeLearner',
    'watchEvents',
    'exportReplay',
  ].map((name) => [name, (client: Record<string, Any>, options: Options) => client[name]?.(options)]),
  ...[
    ['generate', { prompt: 'a' }],
    ['stream', { prompt: 'a' }],
    ['getGeneration', 'id'],
    ['explain', 'id'],
    ['feedback', { generationId: 'id', score: 1 }],
    ['version', 1],
    ['exportVersion', 1],
    ['rollback', 1],
    ['promote', 1],
    ['setMode', 'auto'],
    ['eraseSubject', 'somebody'],
    ['importVersion', {}],
    ['importReplay', []],
    ['health', ''],
  ].map(([name, argument]) => [
    name,
    (client: Record<string, Any>, options: Options) => client[name as string]?.(argument, options),
  ]),
  ['reject', (client: Record<string, Any>, options: Options) => client.reject?.(1, 'because', options)],
  ['feedbackStream', (client: Record<string, Any>, options: Options) => client.feedbackStream?.(options)],
]);

describe('an option that the client does not know', () => {
  it('is refused by every method of the client, before anything is sent', async () => {
    const { client, calls } = await counting();
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(client)).filter(
      (name) => name !== 'constructor' && name !== 'close',
    );
    expect(names.sort()).toEqual(Object.keys(methods).sort());
    const loose = client as unknown as Record<string, Any>;
    for (const [name, call] of Object.entries(methods)) {
      const found = await violations(() => call(loose, { timeoutMS: 5, retry: { tries: 1 } }));
      expect(found, name).toEqual({
        timeoutMS: 'is not known; did you mean timeoutMs?',
        'retry.tries': expect.stringContaining('is not known'),
      });
    }
    expect(calls()).toBe(0);
  });

  it('is refused by connect, also in nested objects, with the nearest name that is known', async () => {
    const options = { adress: 'x', tls: { ca: Buffer.of() }, retry: { maxAttempt: 1 }, timeout: 1 };
    expect(await violations(() => connect(options as never))).toEqual({
      adress: 'is not known; did you mean address?',
      'tls.ca': 'is not known; known are rootCertificates, certificateChain, privateKey',
      'retry.maxAttempt': 'is not known; did you mean maxAttempts?',
      timeout: 'is not known; did you mean timeoutMs?',
    });
  });

  it.each<[string, Options]>([
    ['timeoutMs', { timeoutMs: -1 }],
    ['timeoutMs', { timeoutMs: Number.NaN }],
    ['keepaliveMs', { keepaliveMs: 299 }],
    ['keepaliveMs', { keepaliveMs: Number.POSITIVE_INFINITY }],
    ['retry.maxAttempts', { retry: { maxAttempts: 0 } }],
    ['retry.maxElapsedMs', { retry: { maxElapsedMs: '5' } }],
    ['token', { token: 'two words' }],
    ['token', { token: 'line\nbreak' }],
    ['token', { token: 'a'.repeat(8193) }],
    ['tls', { tls: 'yes' }],
    ['address', { address: 5 }],
  ])('or a wrong value of %s is refused by connect: %j', async (field, options) => {
    const found = await violations(() => connect(options as never));
    expect(Object.keys(found)).toEqual([field]);
    expect(JSON.stringify(found)).not.toMatch(/two words|line/);
  });
});

it.each([
  ['an address that is none', { address: '' }],
  [
    'a certificate that is none',
    {
      address: '127.0.0.1:1',
      tls: { rootCertificates: Buffer.from('no'), privateKey: Buffer.from('no'), certificateChain: Buffer.from('no') },
    },
  ],
])('%s is refused by connect with a code', async (_, options) => {
  await expect(connect(options)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
});

describe('a request', () => {
  it.each<[Record<string, unknown>, Record<string, string>]>([
    [{ prompt: 'a', max_tokens: 1 }, { max_tokens: 'is not known; did you mean maxTokens?' }],
    [{ prompt: 'a', temprature: 0 }, { temprature: 'is not known; did you mean temperature?' }],
    [
      { prompt: 'a', sampling: { temperature: 0 } },
      { sampling: 'is not known; temperature and the other settings of sampling stand directly in the request' },
    ],
    [
      { messages: [{ role: 'user', content: 'a', name: 'x' }] },
      { 'messages[0].name': 'is not known; known are role, content' },
    ],
    [{ messages: [{ role: 'tool', content: 'a' }] }, { 'messages[0].role': 'must be one of system, user, assistant' }],
    [{ messages: [{ role: 'user' }] }, { 'messages[0].content': 'is missing' }],
    [{ messages: 'hi' }, { messages: 'must be an array, not a string' }],
    [{}, { prompt: 'or messages is missing: give one of them' }],
    [{ prompt: 'a', messages: [] }, { prompt: 'and messages exclude each other: give one' }],
    [{ prompt: 'a', n: 1.5 }, { n: expect.stringContaining('must be a whole number') as never }],
    [{ prompt: 'a', n: '2' }, { n: expect.stringContaining('not a string') as never }],
    [{ prompt: 'a', seed: 2 ** 32 }, { seed: 'must be a whole number from 0 to 4294967295, not 4294967296' }],
    [{ prompt: 'a', store: 'no' }, { store: 'must be true or false, not a string' }],
    [{ prompt: 'a', subject: null }, { subject: 'must be a string, not null' }],
    [{ prompt: 'a', stop: 'end' }, { stop: 'must be an array, not a string' }],
    [{ prompt: 'a', logitBias: { x: 1 } }, { logitBias: 'holds the key "x", which is no token id' }],
    [{ prompt: 'a', metadata: { a: 1 } }, { 'metadata["a"]': 'must be a string, not 1' }],
    [
      { prompt: 'a\ud800b' },
      { prompt: 'is no valid UTF-16: half of a surrogate pair stands alone at index 1; send whole characters' },
    ],
    [{ prompt: 'a', metadata: { 'k\udc00': 'v' } }, { metadata: expect.stringContaining('no valid UTF-16') as never }],
  ])('of %j is refused with the field', async (request, expected) => {
    const { client, calls } = await counting();
    expect(await violations(() => client.generate(request as never))).toEqual(expected);
    expect(await violations(() => client.stream(request as never))).toEqual(expected);
    expect(calls()).toBe(0);
  });

  it('stops at ten faults, however many there are', async () => {
    const { client } = await counting();
    const messages = Array.from({ length: 100_000 }, () => ({}));
    expect(Object.keys(await violations(() => client.generate({ messages } as never)))).toHaveLength(10);
  });

  it('with every known field is sent', async () => {
    const { client, calls } = await counting();
    const request = {
      messages: [{ role: 'user', content: '\u{1f600}' } as const],
      prompt: undefined,
      ...{ maxTokens: 1, temperature: 0, topP: 1, topK: 0, minP: 0, stop: ['x'], presencePenalty: 0 },
      ...{ frequencyPenalty: 0, repetitionPenalty: 1, logitBias: { 5: 1 }, ignoreEos: false, n: 1, seed: 1 },
      ...{ logprobs: true, topLogprobs: 1, store: true, subject: 's', version: 0, metadata: { ['__proto__']: 'x' } },
    };
    await expect(client.generate(request)).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' });
    expect(calls()).toBe(1);
  });
});

describe('an item of feedback', () => {
  const items: [Record<string, unknown>, string][] = [
    [{ generationId: 'g', score: 1, ratr: 'x' }, 'ratr'],
    [{ generationId: 'g' }, 'score'],
    [{ generationId: 'g', score: 'good' }, 'score'],
    [{ generationId: 'g', score: 1, rater: 'a\udfff' }, 'rater'],
    [{ generationId: 'g', preference: 'best', otherGenerationId: 'h' }, 'preference'],
    [{ generationId: 'g', preference: 'tie' }, 'otherGenerationId'],
    [{ generationId: 'g', preference: 'tie', otherGenerationId: 'h', score: 1 }, 'score'],
    [{ generationId: 'g', edit: 'text' }, 'score'],
    [{ generationId: 'g', edit: 'text', score: 1, otherGenerationId: 'h' }, 'otherGenerationId'],
    [{ generationId: 'g', score: 1, otherGenerationId: 'h' }, 'otherGenerationId'],
    [{ score: 1 }, 'generationId'],
  ];

  it.each(items)('of %j is refused with the field', async (item, field) => {
    const { client, calls } = await counting();
    const found = await violations(() => client.feedback([{ generationId: 'g', score: 1 }, item as never]));
    expect(Object.keys(found)).toEqual([`items[1].${field}`]);
    expect(calls()).toBe(0);
    const stream = client.feedbackStream();
    expect(Object.keys(await violations(() => stream.send(item as never)))).toEqual([field]);
    expect(stream.unanswered).toBe(0);
    stream.cancel();
  });
});

describe('the options and arguments of other methods', () => {
  it.each<[string, (client: HoneClient) => unknown, string]>([
    ['watchEvents', (client) => client.watchEvents({ types: ['mode_changes'] as never }), 'types[0]'],
    ['watchEvents', (client) => client.watchEvents({ afterSequence: -1 }), 'afterSequence'],
    ['exportReplay', (client) => client.exportReplay({ since: 5 } as never), 'since'],
    ['eraseSubject', (client) => client.eraseSubject('a', { retain: true } as never), 'retain'],
    ['eraseSubject', (client) => client.eraseSubject('\ud83d'), 'subject'],
    ['setMode', (client) => client.setMode('Auto' as never), 'mode'],
    ['version', (client) => client.version('3' as never), 'number'],
    ['rollback', (client) => client.rollback(-1), 'number'],
    ['promote', (client) => client.promote(1.5), 'number'],
    ['getGeneration', (client) => client.getGeneration(undefined as never), 'generationId'],
    ['reject', (client) => client.reject(1, 5 as never), 'reason'],
    ['versions', (client) => client.versions({ pagesize: 5 } as never), 'pagesize'],
    ['status', (client) => client.status({ requestId: 'a blank at the end ' }), 'requestId'],
    ['status', (client) => client.status({ requestId: 'a'.repeat(257) }), 'requestId'],
    ['feedbackStream', (client) => client.feedbackStream({ maxUnanswered: 0 }), 'maxUnanswered'],
  ])('of %s are refused with the field', async (_, call, field) => {
    const { client, calls } = await counting();
    expect(Object.keys(await violations(() => call(client)))).toEqual([field]);
    expect(calls()).toBe(0);
  });
});
