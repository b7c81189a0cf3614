/** Answers never pass what clients of gRPC take by default: 4 MiB. The transport is real, the agent is not. */

import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { type ServiceName, serviceDefinition } from '../../../proto/contract.js';
import { encodeAnswer, maxAnswerBytes, takesEncodedAnswers } from '../../../server/grpc/answer-size.js';
import { checkedDecoding } from '../../../server/grpc/checked-decoding.js';
import { eventHandlers } from '../../../server/grpc/events.js';
import { toProtoExplanation } from '../../../server/grpc/explanation.js';
import { fitAnswer, generationHandlers } from '../../../server/grpc/generation.js';
import { createInterceptor } from '../../../server/grpc/interceptor.js';
import { toProtoGeneration } from '../../../server/grpc/stored-generation.js';
import { versionHandlers } from '../../../server/grpc/versions.js';
import type { Agent, AgentEvent, Explanation, LoopEvent, StoredGeneration } from '../../../src/agent/index.js';
import { versionPage } from '../../../src/agent/version-page.js';
import type { Version } from '../../../src/versions/index.js';
import { RawClient } from '../../support/raw-client.js';
import { until } from '../../support/until.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A client of a server with one service, behind the interceptor that all calls pass. Its limits are gRPC's own. */
async function serve(name: ServiceName, handlers: object): Promise<RawClient> {
  const identity = () => ({ version: 0, adapterDigest: 'a', packageDigest: 'p' });
  const interceptor = createInterceptor({ identity, authToken: undefined, onCall: () => undefined });
  const server = new Server({ interceptors: [interceptor] });
  server.addService(takesEncodedAnswers(checkedDecoding(serviceDefinition(name))), { ...handlers });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new RawClient(`127.0.0.1:${port}`);
  cleanups.push(() => {
    client.close();
    server.forceShutdown();
  });
  return client;
}

const versionOf = (number: number, metrics: number): Version => ({
  lineage: 'p',
  number,
  parent: null,
  state: 'retired',
  origin: 'imported',
  adapterDigest: 'd',
  packageDigest: 'p',
  createdAtMs: 0,
  weights: 'kept',
  metrics: Object.fromEntries(Array.from({ length: metrics }, (_, i) => [`a metric with a long name ${i}`, i])),
  verdict: [],
  rejectedBecause: null,
});

describe('a list of versions', () => {
  it('ends its pages before 4 MiB, and the pages together hold every version once', async () => {
    const all = Array.from({ length: 100 }, (_, number) => versionOf(number, 3000));
    const agent = { listVersions: (size: number, token: string) => versionPage(all, size, token) };
    const client = await serve(
      'VersionService',
      versionHandlers(agent as unknown as Agent, () => undefined, 1000),
    );
    const numbers: number[] = [];
    let pageToken = '';
    let pages = 0;
    do {
      const { messages, status: ended } = await client.call('VersionService', 'ListVersions', { pageToken });
      expect(ended.code).toBe(status.OK);
      const page = messages[0] as { versions: { number: number }[]; nextPageToken: string };
      expect(page.versions.length).toBeGreaterThan(1);
      numbers.push(...page.versions.map(({ number }) => number));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== '');
    expect(numbers).toEqual(all.map(({ number }) => number).reverse());
    expect(pages).toBeGreaterThan(2);
  });
});

describe('an answer that nothing else has bounded', () => {
  it('is refused with a code, the size and a remedy, in place of an answer that no client takes', async () => {
    const agent = { getVersion: () => versionOf(1, 200_000) };
    const client = await serve(
      'VersionService',
      versionHandlers(agent as unknown as Agent, () => undefined, 1000),
    );
    const { status: ended, messages } = await client.call('VersionService', 'GetVersion', { number: 1 });
    expect(messages).toEqual([]);
    expect(ended.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(ended.details).toMatch(/takes \d+ bytes.*ExportReplay/);
    expect(ended.metadata.get('grpc-status-details-bin').toString()).toContain('ANSWER_TOO_LARGE');
  });

  it('is one byte above the bound', () => {
    const method = (length: number) => ({
      path: '/a/B',
      requestStream: false,
      responseStream: false,
      requestDeserialize: () => undefined,
      responseSerialize: () => Buffer.alloc(length),
    });
    expect(encodeAnswer(method(maxAnswerBytes), {})).toHaveLength(maxAnswerBytes);
    expect(() => encodeAnswer(method(maxAnswerBytes + 1), {})).toThrow(/4194305 bytes/);
  });
});

describe('a whole answer', () => {
  const generationIds = Array.from({ length: 64 }, (_, i) => `id-${i}`);
  const started: AgentEvent = {
    type: 'started',
    generationIds,
    version: 0,
    adapterDigest: 'a',
    packageDigest: 'p',
    promptTokens: 1,
    cachedPromptTokens: 0,
  };

  it('has the ids in its initial metadata before the work is done', async () => {
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const agent = {
      async *generate(): AsyncGenerator<AgentEvent> {
        yield started;
        await finished;
        yield { type: 'ended', promptTokens: 1, completionTokens: 0, cachedPromptTokens: 0 };
      },
    };
    const client = await serve(
      'GenerationService',
      generationHandlers(agent as unknown as Agent, () => undefined, 1000),
    );
    const early = await client.call('GenerationService', 'Generate', { prompt: 'a' }, { deadlineMs: 500 });
    expect(early.status.code).toBe(status.DEADLINE_EXCEEDED);
    expect(early.metadata.get('hone-generation-ids')).toEqual([generationIds.join()]);
    finish();
    const { metadata, messages } = await client.call('GenerationService', 'Generate', { prompt: 'a' });
    expect(metadata.get('hone-generation-ids')).toEqual([generationIds.join()]);
    expect(metadata.get('hone-version')).toEqual(['0']);
    expect(messages).toHaveLength(1);
  });

  it('leaves out the contents of its largest completions rather than pass 4 MiB', async () => {
    const agent = {
      async *generate(): AsyncGenerator<AgentEvent> {
        yield started;
        for (let completion = 0; completion < 64; completion++) {
          const text = '😀'.repeat(completion === 7 ? 500_000 : 10_000);
          yield { type: 'chunk', completion, text, tokens: [1, 2] };
          yield { type: 'finished', completion, reason: 'stop' };
        }
        yield { type: 'ended', promptTokens: 1, completionTokens: 128, cachedPromptTokens: 0 };
      },
    };
    const client = await serve(
      'GenerationService',
      generationHandlers(agent as unknown as Agent, () => undefined, 1000),
    );
    const { status: ended, messages } = await client.call('GenerationService', 'Generate', { prompt: 'a' });
    expect(ended.code).toBe(status.OK);
    const { completions } = messages[0] as { completions: Record<string, unknown>[] };
    expect(completions.map(({ generationId }) => generationId)).toEqual(generationIds);
    expect(completions.every(({ finishReason }) => finishReason === 'FINISH_REASON_STOP')).toBe(true);
    expect(completions.filter(({ contentLeftOut }) => contentLeftOut === true)).toEqual([
      expect.objectContaining({ index: 7, text: '', tokenIds: [] }),
    ]);
  });

  it('that fits is not touched', () => {
    const response = { completions: [{ index: 0, text: 'a', tokenIds: [1] }] };
    expect(fitAnswer(response)).toBe(response);
    expect(fitAnswer(response, 400)).toBe(response);
    expect(fitAnswer(response, 100).completions?.[0]).toMatchObject({ contentLeftOut: true });
  });
});

describe('what a generation has gathered', () => {
  const scores = Array.from({ length: 5000 }, (_, i) => ({
    rater: `${i}-${'r'.repeat(250)}`,
    metric: 'm'.repeat(60),
    value: 1,
    createdAtMs: i,
  }));

  it('is listed up to the newest 1000 scores, with their number', () => {
    const generation = {
      promptJson: '{"prompt":"a"}',
      metadataJson: '{}',
      tokens: [],
      logprobs: [],
      sampledLogprobs: [],
    };
    const stored = { generation: { ...generation, state: 'finished', origin: 'sampled' }, scores };
    const message = toProtoGeneration(stored as unknown as StoredGeneration);
    expect(message.scoreCount).toBe(5000);
    expect(message.scores).toHaveLength(1000);
    expect(message.scores?.[0]).toMatchObject({ createdAtMs: 4000 });
  });

  it('is explained up to a bound, with the number of what is left out', () => {
    const fold = (metric: string) => ({ metric, state: 'counts', value: 1, weight: 1, used: scores, ignored: [] });
    const explanation = {
      generation: { id: 'g', state: 'finished', origin: 'sampled' },
      fold: { metrics: [fold('a'), fold('b')] },
      preferences: Array.from({ length: 1500 }, () => ({ otherId: 'o', outcome: 'better', rater: 'r', metric: 'm' })),
      edits: Array.from({ length: 1000 }, () => ({ generationId: 'e', reward: 1 })),
      editCount: 1001,
      obstacles: [],
      lessons: [],
    };
    const message = toProtoExplanation(explanation as unknown as Explanation);
    expect(message.metrics?.map((one) => one.scores?.length)).toEqual([2000, 0]);
    expect([message.preferences?.length, message.edits?.length]).toEqual([1000, 1000]);
    expect(message.leftOut).toBe(8000 + 500 + 1);
  });
});

describe('events that were missed', () => {
  it('come in messages of at most 256', async () => {
    const events = Array.from(
      { length: 1000 },
      (_, i): LoopEvent => ({ sequence: i + 1, atMs: 0, type: 'version_created' }),
    );
    const agent = {
      lastEvent: () => events.length,
      async *watchEvents() {
        yield events;
      },
    };
    const client = await serve(
      'EventService',
      eventHandlers(agent as unknown as Agent, () => undefined),
    );
    const { messages } = await client.call('EventService', 'WatchEvents', {});
    expect(messages.map(({ events: some }) => (some as unknown[]).length)).toEqual([256, 256, 256, 232]);
  });
});

describe('exports of versions', () => {
  it('are bounded in number, and end if their readers read nothing', async () => {
    const files = { 'adapter_model.safetensors': new Uint8Array(8 * 1024 * 1024) };
    const agent = { exportVersion: async () => files };
    const handlers = versionHandlers(agent as unknown as Agent, () => undefined, 200);
    const client = await serve('VersionService', handlers);
    const ends: string[] = [];
    for (let i = 0; i < 5; i++) {
      client.callUnread('VersionService', 'ExportVersion', { number: 1 }, ({ details }) => ends.push(details));
    }
    // A call that has got a part which is not read does not show its end.
    await until(() => ends.some((end) => end.includes('4 exports are running')), 'one is refused');
    await until(() => ends.some((end) => end.includes('was not read')), 'another one has ended');
  });
});
