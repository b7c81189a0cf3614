/** The check of a request's bytes in front of the decoder. */

import fc from 'fast-check';
import protobuf from 'protobufjs/light.js';
import { describe, expect, it } from 'vitest';
import { encodeMessage, messageType, serviceDefinition, serviceNames } from '../../../proto/contract.js';
import { checkedDecoding, RefusedRequest } from '../../../server/grpc/checked-decoding.js';
import { maxEntries, maxUnknownFields } from '../../../server/grpc/request-bounds.js';
import { findWireFault } from '../../../server/grpc/wire-check.js';
import { shapeOf } from '../../../server/grpc/wire-shape.js';

const fault = (name: string, bytes: Uint8Array) => findWireFault(bytes, shapeOf(messageType(`hone.v1.${name}`)));

/** Bytes of a message that is written by hand: `[field number, value]`; a text or bytes are length-delimited. */
function wire(...fields: [number, number | string | Uint8Array][]): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.uint32(number << 3).uint32(value);
    else if (typeof value === 'string') writer.uint32((number << 3) | 2).string(value);
    else writer.uint32((number << 3) | 2).bytes(value);
  }
  return writer.finish();
}

/** Bytes of a field, repeated. Its value is empty. */
const repeated = (number: number, count: number) =>
  Buffer.concat(Array<Uint8Array>(count).fill(wire([number, new Uint8Array()])));

const malformed = { field: '', description: '' };

describe('the bytes of a request', () => {
  it.each([
    ['GenerateRequest', 1, 'messages', 4096],
    ['StreamGenerateRequest', 11, 'metadata', 64],
    ['SubmitFeedbackRequest', 1, 'items', 1024],
    ['StreamFeedbackRequest', 1, 'items', 1024],
    ['WatchEventsRequest', 2, 'types', 64],
  ])('of %s may hold so many entries in field %i (%s), and no more', (name, number, field, limit) => {
    const entries = (count: number) =>
      name === 'WatchEventsRequest' ? wire([number, new Uint8Array(count)]) : repeated(number, count);
    expect(fault(name, entries(limit))).toBeUndefined();
    const description = `holds more than ${limit} entries: send at most ${limit}`;
    expect(fault(name, entries(limit + 1))).toEqual({ field, description });
    expect(fault(name, entries(1_000_000))).toEqual({ field, description });
  });

  it('are counted within nested messages and over packed and single occurrences together', () => {
    const bias = wire([1, 5]);
    const sampling = wire(...Array(4097).fill([10, bias]));
    expect(fault('GenerateRequest', wire([3, sampling]))?.field).toBe('sampling.logit_bias');
    const types: [number, number | Uint8Array][] = [
      [2, new Uint8Array(32)],
      [2, 1],
      [2, new Uint8Array(31)],
    ];
    expect(fault('WatchEventsRequest', wire(...types))).toBeUndefined();
    expect(fault('WatchEventsRequest', wire(...types, [2, 1]))?.field).toBe('types');
  });

  it('are refused with the place of a text that is not UTF-8', () => {
    const bad = Uint8Array.of(0x61, 0xff);
    expect(fault('GetGenerationRequest', wire([1, bad]))?.field).toBe('generation_id');
    expect(fault('GenerateRequest', wire([1, wire([2, 'good'])], [1, wire([2, bad])]))?.field).toBe(
      'messages[1].content',
    );
    expect(fault('GenerateRequest', wire([3, wire([6, 'good'], [6, bad])]))?.field).toBe('sampling.stop[1]');
    expect(fault('GenerateRequest', wire([11, wire([1, bad])]))?.field).toBe('metadata');
    expect(fault('GenerateRequest', wire([11, wire([1, 'key'], [2, bad])]))?.field).toBe('metadata');
    // A surrogate by itself, an overlong form, a character that is cut, one after many that are ASCII.
    for (const bytes of [
      [0xed, 0xa0, 0x80],
      [0xc0, 0x80],
      [0xe2, 0x82],
      [...Array(100).fill(0x61), 0x80],
    ]) {
      expect(fault('GenerateRequest', wire([2, Uint8Array.from(bytes)]))?.field).toBe('prompt');
    }
    for (const text of ['', 'é', '😀'.repeat(100), 'a'.repeat(64), `${'a'.repeat(70)}ü`, '__proto__', '\0']) {
      expect(fault('GenerateRequest', wire([2, text]))).toBeUndefined();
    }
  });

  it('are refused if a field that holds one value occurs twice', () => {
    const description = 'occurs more than once: send it once';
    expect(fault('GenerateRequest', wire([2, 'a'], [2, 'b']))).toEqual({ field: 'prompt', description });
    expect(fault('GenerateRequest', wire([3, wire()], [3, wire()]))).toEqual({ field: 'sampling', description });
    expect(fault('GenerateRequest', wire([1, wire([1, 1], [1, 1])]))).toEqual({
      field: 'messages[0].role',
      description,
    });
  });

  it('are refused if they are cut, too long, or of other types than the contract has', () => {
    for (const bytes of [
      [0x12], // a text without a length
      [0x12, 5, 0x61], // a text that is cut off
      [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // a length above 2^32
      [0x12, 0xff, 0xff, 0xff, 0xff, 0x0f], // a length of 4 GB
      [0x20], // a number that is cut off
      [0x20, ...Array(11).fill(0x80), 1], // a number of more than ten bytes
      [0x20, 0x85, 0x80, 0x80, 0x80, 0x80, 0], // a number of 32 bits in six bytes
      [0x22, 0], // a number as a text
      [0x10, 0], // a text as a number
      [0x1a, 2, 0x12], // a message that is longer than its parent
      [0x1a, 1, 0x09, 0, 0, 0], // a value that ends behind its message
      [0x13, 0x14], // a group
      [0x16, 0],
      [0x17, 0], // wire types that do not exist
      [0x02, 0],
      [0x00, 0], // field number 0
    ]) {
      expect(fault('GenerateRequest', Uint8Array.from(bytes)), JSON.stringify(bytes)).toEqual(malformed);
    }
  });

  it('may hold some fields that a later contract has, of every wire type but groups', () => {
    const later = [...wire([100, 'text'], [101, 5]), 0xb5, 0x06, 0, 0, 0, 0, 0xb1, 0x06, 0, 0, 0, 0, 0, 0, 0, 0];
    expect(fault('GetModeRequest', Uint8Array.from(later))).toBeUndefined();
    expect(fault('GetModeRequest', repeated(100, maxUnknownFields))).toBeUndefined();
    expect(fault('GetModeRequest', repeated(100, maxUnknownFields + 1))).toEqual(malformed);
    expect(fault('GetModeRequest', Uint8Array.of(0xa3, 0x06, 0xa4, 0x06))).toEqual(malformed);
  });

  it('of every request of the contract have bounds, and each bound belongs to a list', () => {
    const requests = serviceNames.flatMap((name) => Object.values(checkedDecoding(serviceDefinition(name))));
    expect(requests.length).toBeGreaterThan(20);
    for (const key of Object.keys(maxEntries)) {
      const [, name = '', field = ''] = /^hone\.v1\.(\w+)\.(\w+)$/.exec(key) ?? [];
      const camel = field.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
      const found = messageType(`hone.v1.${name}`).fields[camel];
      expect(found?.repeated === true || found?.map === true, key).toBe(true);
    }
  });
});

describe('a service with checked decoding', () => {
  const { Generate } = checkedDecoding(serviceDefinition('GenerationService'));
  const decode = (bytes: Uint8Array) => Generate?.requestDeserialize(Buffer.from(bytes)) as object;

  it('decodes what passes the check, with keys of maps that are names of JavaScript', () => {
    const labels = [wire([1, '__proto__'], [2, 'a']), wire([1, 'constructor'], [2, 'b'])];
    const request = decode(wire([2, 'hello'], ...labels.map((label): [number, Uint8Array] => [11, label])));
    expect(request).toMatchObject({ prompt: 'hello' });
    const { metadata } = request as { metadata: Record<string, string> };
    expect(Object.entries(metadata)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });

  it('puts an error with the field in the place of a request that fails', () => {
    const refused = decode(wire([2, 'a'], [2, 'b'])) as RefusedRequest;
    expect(refused).toBeInstanceOf(RefusedRequest);
    expect(refused.error).toMatchObject({
      code: 'INVALID_REQUEST',
      violations: [{ field: 'prompt', description: 'occurs more than once: send it once' }],
    });
    const { error } = decode(Uint8Array.of(0x12)) as RefusedRequest;
    expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
    expect(error.message).toContain('proto/hone/v1');
  });
});

describe('whatever bytes arrive', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\uFFFD'));
  const request = fc.record({
    messages: fc.array(fc.record({ role: fc.constantFrom(0, 1, 2, 3), content: text })),
    prompt: fc.option(text, { nil: undefined }),
    sampling: fc.option(
      fc.record({ maxTokens: fc.integer(), stop: fc.array(text), logitBias: fc.constant({ 5: 1.5, 4000000000: 0 }) }),
      { nil: undefined },
    ),
    metadata: fc.dictionary(text, text, { maxKeys: 16 }),
    seed: fc.option(fc.nat(), { nil: undefined }),
  });

  it('a message of the contract within the bounds passes', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = encodeMessage('hone.v1.GenerateRequest', message);
        expect(fault('GenerateRequest', bytes)).toBeUndefined();
      }),
    );
  });

  it('what passes can be decoded, and all of its texts are UTF-8', () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(request, edits, fc.nat(), (message, changes, cut) => {
        const bytes = encodeMessage('hone.v1.GenerateRequest', message);
        if (bytes.length === 0) return;
        for (const [place, value] of changes) bytes[place % bytes.length] = value;
        const damaged = bytes.subarray(0, bytes.length - (cut % 3));
        if (fault('GenerateRequest', damaged) !== undefined) return;
        const type = messageType('hone.v1.GenerateRequest');
        // The decoder puts U+FFFD in the place of bytes that are not UTF-8. The messages are made without it.
        expect(JSON.stringify(type.toObject(type.decode(damaged)))).not.toContain('\uFFFD');
      }),
      { numRuns: 2000 },
    );
  });
});
