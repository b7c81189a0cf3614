/** The attacks of the bench are as bad as their names say: otherwise a good figure would mean nothing. */

import { expect, it } from 'vitest';
import { Target } from '../../../bench/hostile/attack.js';
import { attacks } from '../../../bench/hostile/attacks.js';
import { callHeaders, frame, frameTypes, headerField } from '../../../bench/hostile/frame-connection.js';
import { field, framed, largestMessage, numberField, repeated, series, varint } from '../../../bench/hostile/wire.js';
import { serviceDefinition, serviceNames } from '../../../proto/contract.js';

/** Returns what an attack with one message sends. */
async function sentBy(name: string): Promise<{ path: string; message: Buffer }> {
  const attack = attacks.find((one) => one.name === name);
  let sent: { path: string; message: Buffer } | undefined;
  const target = new Target('127.0.0.1:1', null, ['an-id'], new AbortController().signal);
  const call = async (path: string, message: Buffer) => {
    sent = { path, message };
  };
  target.grpc = () => ({ call }) as never;
  await attack?.round(target);
  if (sent === undefined) throw new Error(`${name} sends no message`);
  return sent;
}

async function decoded(name: string): Promise<Record<string, unknown>> {
  const { path, message } = await sentBy(name);
  const method = serviceNames
    .flatMap((service) => Object.values(serviceDefinition(service)))
    .find((one) => one.path === path);
  if (method === undefined) throw new Error(`no method has the path ${path}`);
  return method.requestDeserialize(message) as Record<string, unknown>;
}

it('has no two attacks of one name', () => {
  const names = attacks.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(100);
});

it.each([
  ['empty-messages', ({ messages }: Record<string, unknown>) => (messages as unknown[]).length, 2_000_000],
  [
    'bad-logit-bias',
    ({ sampling }: Record<string, unknown>) => Object.keys((sampling as { logitBias: object }).logitBias).length,
    180_000,
  ],
  ['labels', ({ metadata }: Record<string, unknown>) => Object.keys(metadata as object).length, 99_999],
  ['prompt-one-letter', ({ prompt }: Record<string, unknown>) => (prompt as string).length, 4_000_000],
  ['edits-60-long', ({ items }: Record<string, unknown>) => (items as unknown[]).length, 60],
  ['edits-1000', ({ items }: Record<string, unknown>) => (items as unknown[]).length, 1000],
  ['scores-1000', ({ items }: Record<string, unknown>) => (items as unknown[]).length, 1000],
  ['event-types', ({ types }: Record<string, unknown>) => (types as unknown[]).length, 4_000_000],
])('the attack "%s" has as many parts as it says', async (name, count, atLeast) => {
  expect(count((await decoded(name)) as never)).toBeGreaterThanOrEqual(atLeast);
});

it('no message of an attack is so large that the server refuses it unread, if the attack is about its parts', async () => {
  for (const name of ['empty-messages', 'labels', 'edits-1000', 'invalid-utf8', 'deep-groups', 'unknown-fields']) {
    expect((await sentBy(name)).message.length, name).toBeLessThanOrEqual(largestMessage);
  }
});

it('writes numbers and fields as protobuf does', () => {
  expect([...varint(300)]).toEqual([0xac, 0x02]);
  expect([...numberField(1, 150)]).toEqual([0x08, 0x96, 0x01]);
  expect([...field(2, 'testing')]).toEqual([0x12, 0x07, ...Buffer.from('testing')]);
  expect([...repeated(Buffer.from([1, 2]), 2)]).toEqual([1, 2, 1, 2]);
  expect([...series(3, (i) => Buffer.from([i]))]).toEqual([0, 1, 2]);
  expect([...framed(Buffer.from('ab'))]).toEqual([0, 0, 0, 0, 2, 97, 98]);
});

it('writes frames and headers as HTTP/2 does', () => {
  expect([...frame(frameTypes.ping, 1, 0, Buffer.from([7]))]).toEqual([0, 0, 1, 6, 1, 0, 0, 0, 0, 7]);
  expect([...headerField('ab', 'c'.repeat(130))].slice(0, 6)).toEqual([0, 2, 97, 98, 127, 3]);
  expect(callHeaders('/x').toString('latin1')).toContain(':path');
});
