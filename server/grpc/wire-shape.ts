/** What the checker of wire bytes needs to know of a message type, looked up by field number. */

import protobuf from 'protobufjs/light.js';
import { maxEntries } from './request-bounds.js';

/** Wire types of protobuf. Groups (3 and 4) do not occur in this contract. */
export const wireType = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

type WireType = (typeof wireType)[keyof typeof wireType];

export interface FieldShape {
  /** Its name in the contract. */
  readonly name: string;
  /** Wire type of one value. */
  readonly wireType: WireType;
  /** Whether a varint is read as 32 bits. */
  readonly isShort: boolean;
  /** Whether its bytes must be UTF-8. */
  readonly isText: boolean;
  /** Most occurrences. 1: the field holds one value. */
  readonly limit: number;
  /** Whether several values may stand in one length-delimited field. */
  readonly isPackable: boolean;
  readonly isMap: boolean;
  /** The type of a message; of an entry for a map. */
  readonly message: MessageShape | undefined;
}

/** The fields of a message by number; numbers without a field are holes. */
export interface MessageShape {
  readonly fields: readonly (FieldShape | undefined)[];
}

/** Largest field number that a request may have: the checker keeps one bit per field. */
const maxFieldNumber = 31;

const shapes = new Map<protobuf.Type, MessageShape>();

/**
 * The shape of a type, made once.
 * @throws Error if a list of the type has no bound in `request-bounds.ts`
 */
export function shapeOf(type: protobuf.Type): MessageShape {
  const known = shapes.get(type);
  if (known !== undefined) return known;
  const fields: (FieldShape | undefined)[] = [];
  const shape = { fields };
  shapes.set(type, shape);
  for (const field of type.fieldsArray) {
    if (field.id > maxFieldNumber) throw new Error(`${type.fullName}.${field.name}: number ${field.id} is too large`);
    fields[field.id] = shapeOfField(type, field.resolve());
  }
  return shape;
}

function shapeOfField(owner: protobuf.Type, field: protobuf.Field): FieldShape {
  const name = snakeCase(field.name);
  const value = shapeOfValue(name, field.resolvedType, field.type);
  if (field instanceof protobuf.MapField) {
    const key = shapeOfValue('key', null, field.keyType);
    const entry = { fields: [undefined, key, { ...value, name: 'value' }] };
    const limit = limitOf(owner, name);
    return { ...value, name, wireType: wireType.lengthDelimited, isText: false, limit, isMap: true, message: entry };
  }
  if (!field.repeated) return value;
  const isPackable = value.wireType !== wireType.lengthDelimited;
  return { ...value, limit: limitOf(owner, name), isPackable };
}

function shapeOfValue(name: string, resolved: protobuf.Type | protobuf.Enum | null, type: string): FieldShape {
  const message = resolved instanceof protobuf.Type ? shapeOf(resolved) : undefined;
  return {
    name,
    wireType: resolved === null ? wireTypeOf(type) : message === undefined ? wireType.varint : wireType.lengthDelimited,
    isShort: !type.endsWith('64'),
    isText: type === 'string',
    limit: 1,
    isPackable: false,
    isMap: false,
    message,
  };
}

function wireTypeOf(type: string): WireType {
  switch (type) {
    case 'string':
    case 'bytes':
      return wireType.lengthDelimited;
    case 'double':
    case 'fixed64':
    case 'sfixed64':
      return wireType.fixed64;
    case 'float':
    case 'fixed32':
    case 'sfixed32':
      return wireType.fixed32;
    default:
      return wireType.varint;
  }
}

function limitOf(owner: protobuf.Type, name: string): number {
  const key = `${owner.fullName.slice(1)}.${name}`;
  const limit = maxEntries[key];
  if (limit === undefined) throw new Error(`${key} has no bound in request-bounds.ts`);
  return limit;
}

/** Names as the files of the contract spell them. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
