/** Attacks with one message: as many items, bytes or mistakes in it as fit. */

import { gzipSync } from 'node:zlib';
import { type Attack, path, type Target, unknownId } from './attack.js';
import type { CallOptions } from './grpc-connection.js';
import { field, framed, largestMessage, numberField, repeated, series, varint } from './wire.js';

/** Calls a method with one message, again and again. The message is made once, because making it takes time too. */
function request(name: string, method: string, make: (target: Target) => Buffer, options?: CallOptions): Attack {
  let message: Buffer | undefined;
  return {
    name,
    async round(target) {
      message ??= make(target);
      await target.grpc().call(method, message, options);
    },
  };
}

const generate = path('GenerationService', 'Generate');
const stream = path('GenerationService', 'StreamGenerate');
const submit = path('FeedbackService', 'SubmitFeedback');

// Fields of GenerateRequest, and of the messages in it.
const messages = 1;
const prompt = 2;
const sampling = 3;
const subject = 9;
const metadata = 11;
const content = 2;
const stop = 6;
const logitBias = 10;

const room = largestMessage - 64;
const text = (unit: string, bytes = room): string => unit.repeat(Math.floor(bytes / Buffer.byteLength(unit)));
const short = field(prompt, 'once upon');
const chat = (role: number, words: string): Buffer =>
  field(messages, Buffer.concat([numberField(1, role), field(content, words)]));
const user = 2;
const double = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
};
const bias = (token: number, value: number): Buffer =>
  field(logitBias, Buffer.concat([numberField(1, token), varint(2 * 8 + 1), double(value)]));
const label = (key: string, value: string): Buffer => field(metadata, Buffer.concat([field(1, key), field(2, value)]));

const prompts: readonly (readonly [name: string, unit: string])[] = [
  ['one-letter', 'a'],
  ['spaces', ' '],
  ['line-breaks', '\n'],
  ['digits', '7'],
  ['words', 'once upon a time '],
  ['emoji', '👩‍👩‍👧‍👦'],
  ['accents', 'e\u0301'],
  ['special-tokens', '<|im_start|>'],
];

const edit = (id: string, words: string): Buffer =>
  field(1, Buffer.concat([field(1, id), field(4, 'attacker'), field(8, field(1, words))]));
const score = (id: string, value: number, more: Buffer = Buffer.alloc(0)): Buffer =>
  field(1, Buffer.concat([field(1, id), varint(2 * 8 + 1), double(value), more]));

/** Field 500, which no message of the contract has. */
const unknownNumber = numberField(500, 7);
const groupStart = varint(500 * 8 + 3);
const groupEnd = varint(500 * 8 + 4);

export const requestAttacks: readonly Attack[] = [
  request('empty-messages', generate, () => repeated(field(messages, ''))),
  request('empty-messages-streamed', stream, () => repeated(field(messages, ''))),
  request('short-messages', generate, () => repeated(chat(user, 'a'))),
  request('empty-samplings', generate, () => Buffer.concat([short, repeated(field(sampling, ''))])),
  request('repeated-prompts', generate, () => repeated(field(prompt, 'a'))),
  request('stop-texts', generate, () => Buffer.concat([short, field(sampling, repeated(field(stop, '')))])),
  request('bad-logit-bias', generate, () =>
    Buffer.concat([
      short,
      field(
        sampling,
        series(200_000, (i) => bias(4_000_000 + i, 1e9)),
      ),
    ]),
  ),
  request('logit-bias', generate, () =>
    Buffer.concat([
      short,
      field(
        sampling,
        series(200_000, (i) => bias(i, 1)),
      ),
    ]),
  ),
  request('labels', generate, () => Buffer.concat([short, series(100_000, (i) => label(`key${i}`, 'x'))])),
  request('empty-labels', generate, () => Buffer.concat([short, repeated(field(metadata, ''))])),
  request('long-label', generate, () => Buffer.concat([short, label(text('k', room / 2), text('v', room / 2 - 64))])),
  request('long-subject', generate, () => Buffer.concat([short, field(subject, text('s', room - 64))])),
  ...prompts.flatMap(([name, unit]) => [
    request(`prompt-${name}`, generate, () => field(prompt, text(unit))),
    request(`message-${name}`, generate, () => chat(user, text(unit, room - 64))),
  ]),
  // Just below the bound on characters, and far beyond the context.
  ...prompts.map(([name, unit]) => request(`medium-prompt-${name}`, generate, () => field(prompt, text(unit, 65_000)))),
  request('messages-below-the-context', generate, () => repeated(chat(user, 'a'), 1000)),
  request('invalid-utf8', generate, () => field(prompt, Buffer.alloc(room, 0xff))),
  request('invalid-utf8-labels', generate, () =>
    Buffer.concat([short, repeated(field(metadata, Buffer.concat([field(1, Buffer.from([0xff])), field(2, '')])))]),
  ),
  request('unknown-fields', generate, () => Buffer.concat([short, repeated(unknownNumber)])),
  request('deep-groups', generate, () => repeated(groupStart)),
  request('deep-closed-groups', generate, () =>
    Buffer.concat([repeated(groupStart, room / 4), repeated(groupEnd, room / 4)]),
  ),
  request('endless-varint', generate, () => Buffer.alloc(room, 0xff)),
  request('zero-tags', generate, () => Buffer.alloc(room)),
  request('many-completions', generate, () =>
    Buffer.concat([
      short,
      numberField(4, 64),
      numberField(6, 1),
      numberField(7, 20),
      field(sampling, numberField(1, 500)),
    ]),
  ),
  request('items-empty', submit, () => repeated(field(1, ''))),
  request('items-1000-empty', submit, () => repeated(field(1, ''), 1000)),
  request('edits-60-long-refused', submit, () => series(60, (i) => edit(unknownId(i), text('ab ', 65_000)))),
  request('edits-60-long', submit, (target) => series(60, (i) => edit(target.id(i), text('ab ', 65_000)))),
  request('edits-1000-refused', submit, () => series(1000, (i) => edit(unknownId(i), text('word ', 4000)))),
  request('edits-1000', submit, (target) => series(1000, (i) => edit(target.id(i), `${i} ${text('word ', 2000)}`))),
  request('edits-1000-one-letter', submit, (target) => series(1000, (i) => edit(target.id(i), text('a', 4000)))),
  request('scores-1000', submit, (target) => series(1000, (i) => score(target.id(i), 0.5, field(4, `rater${i}`)))),
  request('scores-1000-refused', submit, () => series(1000, (i) => score(unknownId(i), 7))),
  request('scores-long-names', submit, (target) =>
    series(1000, (i) =>
      score(target.id(i), 0.5, Buffer.concat([field(4, text('r', 2000)), field(5, text('m', 2000))])),
    ),
  ),
  request('long-id', path('GenerationService', 'GetGeneration'), () => field(1, text('x'))),
  request('long-explained-id', path('FeedbackService', 'ExplainGeneration'), () => field(1, text('x'))),
  request('long-page-token', path('VersionService', 'ListVersions'), () => field(2, text('9'))),
  request('event-types', path('EventService', 'WatchEvents'), () => field(2, Buffer.alloc(room, 1))),
  request('event-types-unknown', path('EventService', 'WatchEvents'), () => field(2, Buffer.alloc(room, 99))),
  request('long-reason', path('AdminService', 'RejectVersion'), () =>
    Buffer.concat([numberField(1, 1), field(2, text('r'))]),
  ),
  request('long-erased-subject', path('AdminService', 'EraseSubject'), () => field(1, text('s'))),
  request('long-exported-subject', path('AdminService', 'ExportReplay'), () => field(1, text('s'))),
  request('adapter-chunk', path('AdminService', 'ImportVersion'), () =>
    field(1, Buffer.concat([field(1, text('n', room / 2)), field(3, Buffer.alloc(room / 2 - 64))])),
  ),
  request('status-with-unknown-fields', path('StatusService', 'GetServerStatus'), () => repeated(unknownNumber)),
  request('health-long-name', '/grpc.health.v1.Health/Check', () => field(1, text('s'))),
  request('health-repeated-name', '/grpc.health.v1.Health/Check', () => repeated(field(1, ''))),
  request('reflection-long-name', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', () =>
    field(4, text('s')),
  ),
  request('unknown-method', path('GenerationService', 'None'), () => field(prompt, text('a'))),
  request('long-path', path('GenerationService', text('x', 60_000)), () => short),
  ...['a', 'ab ', '\u0000'].map((unit, i) =>
    request(`headers-${i}`, generate, () => short, {
      headers: { 'x-note': unit === '\u0000' ? 'z'.repeat(500_000) : unit.repeat(60_000).trim() },
    }),
  ),
  request('headers-many', generate, () => short, {
    headers: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`x-note-${i}`, 'x'])),
  }),
  request('headers-binary', generate, () => short, { headers: { 'x-note-bin': '!'.repeat(12_000) } }),
  {
    name: 'too-large',
    async round(target) {
      await target.grpc().send(generate, [framed(Buffer.alloc(16 * largestMessage, 'a'))]);
    },
  },
  {
    name: 'length-of-4-gigabytes',
    async round(target) {
      const head = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
      await target.grpc().send(generate, [head, Buffer.alloc(largestMessage)]);
    },
  },
  ...[64 * 1024 * 1024, 1024 * 1024 * 1024].map((bytes): Attack => {
    let bomb: Buffer | undefined;
    return {
      name: `gzip-bomb-${bytes / 1024 / 1024}-MiB`,
      async round(target) {
        bomb ??= framed(gzipSync(Buffer.alloc(bytes)), true);
        await target.grpc().send(generate, [bomb], { headers: { 'grpc-encoding': 'gzip' } });
      },
    };
  }),
  {
    name: 'empty-frames-of-messages',
    async round(target) {
      await target.grpc().send(generate, [repeated(framed(Buffer.alloc(0)), 800_000)]);
    },
  },
];
