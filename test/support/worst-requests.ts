/**
 * Draws requests that are as much work as possible: a field of any message of the contract, however deep, is filled with
 * as many items, keys or characters as a size allows. What such a request costs the server must not depend on luck in
 * the choice of the field.
 */

import fc from 'fast-check';
import protobuf from 'protobufjs';
import type { CustomAttack, CustomCall } from '../../bench/hostile/custom-attack.js';
import { field, largestMessage, numberField, repeated, series, varint } from '../../bench/hostile/wire.js';
import { fullName, messageType, serviceDefinition, serviceNames } from '../../proto/contract.js';

/** How a field is filled. */
interface Filling {
  /** Which field of each message on the way down is filled, modulo the number of its fields. */
  readonly fields: readonly number[];
  /** Whether many short values are made where the field may be repeated, or one that is long. */
  readonly many: boolean;
  /** Whether keys and short values differ from each other. */
  readonly distinct: boolean;
  /** The unit of which texts are made; bytes, so that it may be no UTF-8. */
  readonly unit: string;
  readonly bytes: number;
}

const longestDepth = 5;

/** The bytes of a message of this type with one field filled. */
export function filledMessage(type: protobuf.Type, filling: Filling, depth = 0): Buffer {
  const fields = type.fieldsArray;
  const chosen = fields[(filling.fields[depth] ?? 0) % Math.max(1, fields.length)]?.resolve();
  if (chosen === undefined || depth >= longestDepth) return repeated(numberField(500, 7), undefined, filling.bytes);
  const { id, resolvedType } = chosen;
  const { many, distinct, unit, bytes } = filling;
  const text = Buffer.from(unit, 'latin1');
  if (chosen instanceof protobuf.MapField) {
    return manyOf(bytes, distinct, (i) =>
      field(id, Buffer.concat([keyOf(chosen, i), contentOf(chosen.resolvedType, chosen.type, text)])),
    );
  }
  if (resolvedType instanceof protobuf.Type) {
    if (!many || !chosen.repeated) return field(id, filledMessage(resolvedType, filling, depth + 1));
    // As many elements as fit, each empty or with a little in it.
    const little = filledMessage(resolvedType, { ...filling, bytes: text.length + 4, many: false }, depth + 1);
    return repeated(field(id, distinct ? little : ''), undefined, bytes);
  }
  if (chosen.type === 'string' || chosen.type === 'bytes') {
    if (many) return manyOf(bytes, distinct, (i) => field(id, distinct ? `${i}` : text));
    return field(id, repeated(text, undefined, bytes));
  }
  if (chosen.repeated && !many) return field(id, Buffer.alloc(bytes, 1));
  return repeated(numberField(id, 1), undefined, bytes);
}

function manyOf(bytes: number, distinct: boolean, make: (index: number) => Buffer): Buffer {
  if (!distinct) return repeated(make(0), undefined, bytes);
  return series(Math.floor(bytes / make(9999).length), make);
}

function keyOf({ keyType }: protobuf.MapField, index: number): Buffer {
  return keyType === 'string' ? field(1, `key${index}`) : numberField(1, index);
}

function contentOf(message: protobuf.Type | protobuf.Enum | null, type: string, text: Buffer): Buffer {
  if (message instanceof protobuf.Type) return field(2, '');
  if (type === 'string' || type === 'bytes') return field(2, text);
  if (type === 'double') return Buffer.concat([varint(2 * 8 + 1), Buffer.alloc(8)]);
  return numberField(2, 1);
}

/** A request that would be answered, to which the filled field is added, so that it gets past the first checks. */
const answered: Readonly<Record<string, object>> = {
  Generate: { prompt: 'once upon', sampling: { maxTokens: 4 } },
  StreamGenerate: { prompt: 'once upon', sampling: { maxTokens: 4 } },
  SubmitFeedback: { items: [{ generationId: '019b0000-0000-7000-8000-000000000000', score: 1, rater: 'r' }] },
  StreamFeedback: { items: [{ generationId: '019b0000-0000-7000-8000-000000000000', score: 1, rater: 'r' }] },
};

/** Methods that would change how the server goes on, so that a later case could not be compared. */
const left = new Set(['PauseLearner', 'ResumeLearner', 'Rollback', 'SetMode']);

const methods = serviceNames.flatMap((service) =>
  Object.keys(serviceDefinition(service)).flatMap((method) => (left.has(method) ? [] : [{ service, method }])),
);

const requestType = (method: string): protobuf.Type => messageType(`hone.v1.${method}Request`);

const filling: fc.Arbitrary<Filling> = fc.record({
  fields: fc.array(fc.nat({ max: 12 }), { minLength: longestDepth, maxLength: longestDepth }),
  many: fc.boolean(),
  distinct: fc.boolean(),
  unit: fc.constantFrom('a', ' ', 'ab ', '7', '\n', '\xff', '\u00c3\u00a9', '<|end|>', '\x00', '{}\n', '[', 'word '),
  // Every power of two up to the largest message, because some work grows with the square of the size.
  bytes: fc.integer({ min: 10, max: 22 }).map((power) => Math.min(2 ** power, largestMessage - 1024)),
});

const call: fc.Arbitrary<CustomCall> = fc
  .record({ of: fc.constantFrom(...methods), filling, isAnswered: fc.boolean(), cancels: fc.boolean() })
  .map(({ of: { service, method }, filling: chosen, isAnswered, cancels }) => {
    const start = isAnswered ? (answered[method] ?? {}) : {};
    const message = Buffer.concat([
      serviceDefinition(service)[method]?.requestSerialize(start) ?? Buffer.alloc(0),
      filledMessage(requestType(method), chosen),
    ]);
    return { path: `/${fullName(service)}/${method}`, message: message.toString('base64'), cancels };
  });

/** One request, or a few at once. */
export const worstRequests: fc.Arbitrary<CustomAttack> = fc
  .array(call, { minLength: 1, maxLength: 3 })
  .map((calls) => ({ calls }));

/** What a case was, for the message of a failure. */
export function described({ calls }: CustomAttack): string {
  return calls
    .map(({ path, message, cancels }) => {
      const bytes = Buffer.from(message, 'base64');
      return `${path} with ${bytes.length} bytes that begin ${bytes.subarray(0, 48).toString('hex')}${cancels ? ', cancelled' : ''}`;
    })
    .join('; ');
}
