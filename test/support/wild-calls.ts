/** Makes hostile calls: arbitrary requests, and readers that leave, stall or never read. */

import { Client, credentials, Metadata, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import fc from 'fast-check';
import { type ServiceName, serviceDefinition } from '../../proto/contract.js';
import { after } from './until.js';

/** The behaviour of the caller. */
export interface Conduct {
  /** Milliseconds after the start when the caller leaves; null if it stays. */
  readonly cancelAfterMs: number | null;
  readonly deadlineMs: number | null;
  /** The pause of the reader: after how many messages, and for how long. */
  readonly stall: { readonly messages: number; readonly ms: number } | null;
}

/** A call with its messages as bytes. Only a client stream has more than one. */
export interface WildCall {
  readonly service: ServiceName;
  readonly method: string;
  readonly messages: readonly Uint8Array[];
  readonly conduct: Conduct;
}

const definition = (service: ServiceName, method: string): MethodDefinition<object, object> =>
  serviceDefinition(service)[method] as MethodDefinition<object, object>;

const specialNumber = fc.constantFrom(
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.MIN_VALUE,
  Number.MAX_VALUE,
  -0,
  -1,
);
/** Mostly allowed values, so that requests pass the checks, and sometimes any value. */
const real = (min: number, max: number) =>
  fc.oneof({ weight: 12, arbitrary: fc.double({ min, max, noNaN: true }) }, specialNumber, fc.double());
const whole = (min: number, max: number) =>
  fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min, max }) },
    fc.constantFrom(-1, 0, 2 ** 31 - 1, -(2 ** 31), 2 ** 32 - 1),
  );
const text = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  fc.constantFrom('', '<|end|>', '\u0000', '\uD800', '\uFEFF', '__proto__', 'constructor', 'toString'),
  fc.integer({ min: 1, max: 200_000 }).map((length) => 'ab '.repeat(length / 3 + 1)),
);

const sampling = fc.record(
  {
    maxTokens: whole(1, 60),
    temperature: real(0, 10),
    topP: real(0.01, 1),
    topK: whole(0, 300),
    minP: real(0, 0.99),
    stop: fc.array(text, { maxLength: 4 }),
    presencePenalty: real(-2, 2),
    frequencyPenalty: real(-2, 2),
    repetitionPenalty: real(0.01, 10),
    logitBias: fc.dictionary(fc.integer({ min: 0, max: 270 }).map(String), real(-100, 100), { maxKeys: 4 }),
    ignoreEos: fc.boolean(),
  },
  { requiredKeys: [] },
);

const role = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(1, 2, 3) }, fc.constantFrom(0, 4, 99, -1));
const messages = fc.array(fc.record({ role, content: text }), { minLength: 1, maxLength: 5 });
const options = {
  sampling,
  n: whole(1, 8),
  seed: fc.nat(),
  logprobs: fc.boolean(),
  topLogprobs: whole(0, 20),
  store: fc.boolean(),
  subject: text,
  version: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat({ max: 9 })),
  metadata: fc.dictionary(text, text, { maxKeys: 3 }),
};
const generate = fc.oneof(
  { weight: 5, arbitrary: fc.record({ prompt: text, ...options }, { requiredKeys: ['prompt'] }) },
  { weight: 4, arbitrary: fc.record({ messages, ...options }, { requiredKeys: ['messages'] }) },
  fc.record({ prompt: text, messages, ...options }, { requiredKeys: [] }),
);

/** Ids of real generations, which the test fills in, and other texts. */
const id = fc.oneof(
  fc.uuid({ version: 7 }),
  fc.constantFrom('', 'x', '00000000-0000-0000-0000-000000000000'),
  fc.constant('kept'),
);
const item = fc.record(
  {
    generationId: id,
    score: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), specialNumber),
    retraction: fc.constant({}),
    rater: text,
    metric: text,
    idempotencyKey: text,
  },
  { requiredKeys: ['generationId'] },
);
const items = fc.record({ items: fc.array(item, { maxLength: 6 }) });
const number = fc.record({ number: whole(0, 9) });
const nothing = fc.constant({});

/** Appends bytes to a message: fields of a later contract, or bytes that are no fields. */
const tail = fc.oneof(
  { weight: 8, arbitrary: fc.constant([]) },
  fc.constant([0xa0, 0x1f, 0x07]),
  fc.constant([0xa2, 0x1f, 0x02, 0xff, 0xfe]),
  fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 12 }),
);
/** Changes bytes of a message, so that it may be no message any more, or have texts that are not UTF-8. */
const flips = fc.oneof(
  { weight: 6, arbitrary: fc.constant([]) },
  fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
    maxLength: 3,
  }),
);

const conduct: fc.Arbitrary<Conduct> = fc.record({
  cancelAfterMs: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.integer({ min: 0, max: 60 })),
  deadlineMs: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.integer({ min: 0, max: 60 })),
  stall: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    fc.record({ messages: fc.nat({ max: 3 }), ms: fc.integer({ min: 1, max: 200 }) }),
  ),
});

function calls(service: ServiceName, method: string, request: fc.Arbitrary<object>): fc.Arbitrary<WildCall> {
  const { requestStream, requestSerialize } = definition(service, method);
  const message = fc.tuple(request, tail, flips).map(([value, more, changed]) => {
    const bytes = Buffer.concat([requestSerialize(value), Buffer.from(more)]);
    for (const [at, byte] of changed) if (bytes.length > 0) bytes[Math.floor(at * bytes.length)] = byte;
    return bytes as Uint8Array;
  });
  const sent = requestStream ? fc.array(message, { maxLength: 5 }) : message.map((bytes) => [bytes]);
  return fc.record({ service: fc.constant(service), method: fc.constant(method), messages: sent, conduct });
}

/** Makes any call of any method. Calls that would watch for ever leave after a time. */
export const wildCall: fc.Arbitrary<WildCall> = fc.oneof(
  { weight: 8, arbitrary: calls('GenerationService', 'StreamGenerate', generate) },
  { weight: 6, arbitrary: calls('GenerationService', 'Generate', generate) },
  calls('GenerationService', 'GetGeneration', fc.record({ generationId: id })),
  { weight: 2, arbitrary: calls('FeedbackService', 'SubmitFeedback', items) },
  { weight: 2, arbitrary: calls('FeedbackService', 'StreamFeedback', items) },
  calls('StatusService', 'GetServerStatus', nothing),
  calls('LearnerService', 'GetLearnerStatus', nothing),
  calls('VersionService', 'ListVersions', fc.record({ pageSize: whole(0, 100), pageToken: text })),
  calls('VersionService', 'GetVersion', number),
  calls('EventService', 'WatchEvents', fc.record({ afterSequence: whole(0, 5) }, { requiredKeys: [] })).map((call) => ({
    ...call,
    conduct: { ...call.conduct, cancelAfterMs: call.conduct.cancelAfterMs ?? 30 },
  })),
  calls('AdminService', 'Rollback', number),
  calls('AdminService', 'PauseLearner', nothing),
  calls('AdminService', 'ResumeLearner', nothing),
  calls('AdminService', 'EraseSubject', fc.record({ subject: text, retrain: fc.boolean() })),
  calls(
    'AdminService',
    'ExportReplay',
    fc.record({ subject: text, sinceMs: whole(0, 2 ** 31 - 1), scored: fc.boolean() }),
  ),
  calls('AdminService', 'ImportReplay', fc.record({ data: fc.uint8Array({ maxLength: 200 }) })),
);

/** Longest duration of a call. A longer one counts as endless. */
const longestCallMs = 120_000;

/** A client for such calls. */
export class WildClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  /** Makes the call. @returns its status */
  make({ service, method, messages, conduct: { cancelAfterMs, deadlineMs, stall } }: WildCall): Promise<StatusObject> {
    const { path, responseDeserialize } = definition(service, method);
    const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
    const deadline = deadlineMs === null ? {} : { deadline: Date.now() + deadlineMs };
    const call = this.#client.makeBidiStreamRequest(path, asIs, responseDeserialize, new Metadata(), deadline);
    return new Promise((resolve, reject) => {
      const timers = [after(longestCallMs, () => reject(new Error(`the call of ${path} does not end`)))];
      let received = 0;
      call.on('data', () => {
        received += 1;
        if (stall === null || received !== stall.messages) return;
        call.pause();
        timers.push(after(stall.ms, () => call.resume()));
      });
      call.on('error', (_: ServiceError) => undefined);
      call.on('status', (status: StatusObject) => {
        for (const callOff of timers) callOff();
        resolve(status);
      });
      if (cancelAfterMs !== null) timers.push(after(cancelAfterMs, () => call.cancel()));
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  close(): void {
    this.#client.close();
  }
}
