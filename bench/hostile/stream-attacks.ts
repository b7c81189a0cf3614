/** Attacks with many calls on one connection, and with calls that stream. */

import { once, setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Attack, path, type Target, unknownId } from './attack.js';
import { callHeaders, endHeaders, frame, frameTypes } from './frame-connection.js';
import type { CallOptions } from './grpc-connection.js';
import { field, framed, largestMessage, numberField, repeated, series, varint } from './wire.js';

/** The same call many times at once. */
function atOnce(
  name: string,
  count: number,
  method: string,
  make: (target: Target, i: number) => Buffer,
  goesOn = false,
): Attack {
  return {
    name,
    async round(target) {
      const connection = target.grpc();
      const stop = stopForMany();
      const calls = Array.from({ length: count }, (_, i) =>
        connection.call(method, make(target, i), { signal: stop.signal }),
      );
      if (goesOn) {
        await Promise.race([Promise.all(calls), delay(keptMs)]);
        stop.abort();
      }
      await Promise.all(calls);
    },
  };
}

async function isOver(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** A signal that many calls may listen to. */
function stopForMany(): AbortController {
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  return stop;
}

/** How long calls that never end are kept. */
const keptMs = 500;
/** How long the end of a call is waited for after the attack is over. */
const patienceMs = 3000;

/** Sends a body part by part until the server ends the call or the attack is over. */
function streaming(
  name: string,
  method: string,
  make: (target: Target) => Iterable<Buffer>,
  options?: CallOptions,
): Attack {
  return {
    name,
    async round(target) {
      const stop = stopForMany();
      const ended = target.grpc().send(method, make(target), { ...options, signal: stop.signal });
      await Promise.race([ended, isOver(target.over).then(() => delay(patienceMs, undefined, { ref: false }))]);
      stop.abort();
      await ended;
    },
  };
}

function* untilOver(target: Target, part: Buffer): Generator<Buffer> {
  do yield part;
  while (!target.over.aborted);
}

function* times(count: number, part: Buffer): Generator<Buffer> {
  for (let i = 0; i < count; i++) yield part;
}

const generate = path('GenerationService', 'Generate');
const stream = path('GenerationService', 'StreamGenerate');
const importing = path('AdminService', 'ImportReplay');
const feedback = path('FeedbackService', 'StreamFeedback');
const none = Buffer.alloc(0);
const asked = (prompt: string, completions: number, tokens: number, top: number): Buffer =>
  Buffer.concat([
    field(2, prompt),
    field(3, Buffer.concat([numberField(1, tokens), numberField(11, 1)])),
    numberField(4, completions),
    numberField(6, 1),
    numberField(7, top),
  ]);

const scoreOne = Buffer.alloc(8);
scoreOne.writeDoubleLE(1);
const item = (id: string, more: Buffer): Buffer =>
  field(1, Buffer.concat([field(1, id), varint(2 * 8 + 1), scoreOne, more]));
const itemsOf = (target: Target, count: number, more: Buffer = none): Buffer =>
  framed(series(count, (i) => item(target.id(i), Buffer.concat([field(4, `rater${i}`), more]))));

/** Chunks of an import that hold the same text again and again. */
const imported = (unit: string): Buffer =>
  framed(field(1, repeated(Buffer.from(unit), undefined, largestMessage - 64)));
/** A record that has the right form and a generation that this server never made. */
const record = (tokens: number): string =>
  `${JSON.stringify({
    type: 'generation',
    id: unknownId(7),
    state: 'finished',
    promptTokens: Array.from({ length: tokens }, (_, i) => i % 90),
    tokens: Array.from({ length: tokens }, (_, i) => i % 90),
    text: 'x'.repeat(tokens),
  })}\n`;

/** Opens calls and resets them at once, with frames written by hand. */
function openedAndReset(count: number): Attack {
  return {
    name: `reset-${count}`,
    async round(target) {
      const connection = await target.frames();
      const block = callHeaders(generate);
      const perWrite = 500;
      for (let from = 0; from < count && connection.isUsable; from += perWrite) {
        const frames: Buffer[] = [];
        for (let i = from; i < Math.min(count, from + perWrite); i++) {
          frames.push(frame(frameTypes.headers, endHeaders, 2 * i + 1, block));
          frames.push(frame(frameTypes.reset, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])));
        }
        await connection.send(Buffer.concat(frames));
      }
      // The server closes the connection, or has read everything when it answers a last call.
      await target.answered();
      connection.close();
    },
  };
}

export const streamAttacks: readonly Attack[] = [
  openedAndReset(3000),
  openedAndReset(30_000),
  {
    name: 'opened-and-left',
    async round(target) {
      const connection = await target.frames();
      const block = callHeaders(generate);
      await connection.send(
        Buffer.concat(Array.from({ length: 3000 }, (_, i) => frame(frameTypes.headers, endHeaders, 2 * i + 1, block))),
      );
      await target.answered();
      connection.close();
    },
  },
  {
    name: 'bodies-without-end',
    async round(target) {
      const connection = target.grpc();
      const stop = stopForMany();
      const part = framed(Buffer.alloc(largestMessage - 64, 'a')).subarray(0, largestMessage - 128);
      const calls = Array.from({ length: 100 }, () =>
        connection.send(generate, [part], { ends: false, signal: stop.signal }),
      );
      await delay(keptMs);
      stop.abort();
      await Promise.all(calls);
    },
  },
  streaming('feedback-maximal', feedback, (target) => untilOver(target, itemsOf(target, 1000))),
  streaming('feedback-long-names', feedback, (target) =>
    untilOver(target, itemsOf(target, 1000, field(5, 'm'.repeat(4000)))),
  ),
  streaming('feedback-one-by-one', feedback, (target) =>
    untilOver(target, Buffer.alloc(60_000, itemsOf(target, 1)).subarray(0, 60_000)),
  ),
  streaming('feedback-empty-messages', feedback, (target) => untilOver(target, repeated(framed(none), 10_000))),
  streaming('feedback-empty-items', feedback, (target) => untilOver(target, framed(repeated(field(1, ''), 1000)))),
  streaming('feedback-unread', feedback, (target) => untilOver(target, itemsOf(target, 1000)), { reads: false }),
  streaming('import-one-line', importing, (target) => untilOver(target, imported('a'))),
  streaming('import-one-long-line', importing, () => times(1, imported('x'))),
  streaming('import-tiny-lines', importing, (target) => untilOver(target, imported('{}\n'))),
  streaming('import-empty-lines', importing, (target) => untilOver(target, imported('\n'))),
  streaming('import-deep-json', importing, () => times(1, imported('['))),
  streaming('import-closed-json', importing, () =>
    times(1, framed(field(1, Buffer.from(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}\n`)))),
  ),
  streaming('import-many-keys', importing, () =>
    times(1, framed(field(1, Buffer.from(`{${Array.from({ length: 200_000 }, (_, i) => `"k${i}":1`).join(',')}}\n`)))),
  ),
  streaming('import-records', importing, (target) => untilOver(target, imported(record(100)))),
  streaming('import-large-record', importing, (target) => untilOver(target, imported(record(100_000)))),
  streaming('import-empty-chunks', importing, (target) => untilOver(target, repeated(framed(none), 10_000))),
  atOnce('list-versions-100', 100, path('VersionService', 'ListVersions'), () => numberField(1, 1000)),
  atOnce('export-replay-100', 100, path('AdminService', 'ExportReplay'), () => none),
  atOnce('export-version-100', 100, path('VersionService', 'ExportVersion'), () => numberField(1, 0)),
  atOnce('explain-100', 100, path('FeedbackService', 'ExplainGeneration'), (target) => field(1, target.id(0))),
  atOnce('get-generation-1000', 1000, path('GenerationService', 'GetGeneration'), (target, i) =>
    field(1, target.id(i)),
  ),
  atOnce('status-1000', 1000, path('StatusService', 'GetServerStatus'), () => none),
  atOnce('learner-status-1000', 1000, path('LearnerService', 'GetLearnerStatus'), () => none),
  atOnce('health-1000', 1000, '/grpc.health.v1.Health/Check', () => none),
  atOnce('mode-1000', 1000, path('AdminService', 'GetMode'), () => none),
  atOnce('erase-100', 100, path('AdminService', 'EraseSubject'), (_, i) => field(1, `nobody${i}`)),
  atOnce('watch-events-1000', 1000, path('EventService', 'WatchEvents'), () => numberField(1, 0), true),
  atOnce('watch-health-1000', 1000, '/grpc.health.v1.Health/Watch', () => none, true),
  atOnce('reflection-100', 100, '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', () =>
    field(4, 'hone.v1.GenerationService'),
  ),
  atOnce('generate-100', 100, generate, (_, i) => asked(`once upon ${i}`, 16, 100, 20)),
  atOnce('generate-1000-refused', 1000, generate, () => field(2, '')),
  {
    name: 'generate-cancelled',
    async round(target) {
      const connection = target.grpc();
      const stop = stopForMany();
      const calls = Array.from({ length: 100 }, (_, i) =>
        connection.call(stream, asked(`once upon ${i}`, 16, 100, 20), { signal: stop.signal }),
      );
      await new Promise((resolve) => setImmediate(resolve));
      stop.abort();
      await Promise.all(calls);
    },
  },
  {
    name: 'generate-unread',
    async round(target) {
      const connection = target.grpc();
      const stop = stopForMany();
      const calls = Array.from({ length: 50 }, (_, i) =>
        connection.call(stream, asked(`once upon ${i}`, 16, 100, 20), { reads: false, signal: stop.signal }),
      );
      await delay(keptMs);
      stop.abort();
      await Promise.all(calls);
    },
  },
  {
    name: 'body-without-token',
    withoutToken: true,
    async round(target) {
      const connection = target.grpc();
      const body = repeated(field(1, ''));
      await Promise.all(Array.from({ length: 10 }, () => connection.call(generate, body)));
    },
  },
  {
    name: 'reset-without-token',
    withoutToken: true,
    round: (target) => openedAndReset(10_000).round(target),
  },
];
