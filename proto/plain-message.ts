/**
 * Turns a decoded message into plain data: enum values become their short names, and absent fields are left out.
 *
 * An enum value without a name - the unspecified one, or one of a later release - becomes `unknown`. The loader's marks
 * of optional fields (`_version: 'version'`) and the nulls of absent messages do not appear. The types are derived from
 * the generated ones. The fields come from the contract, so that text that looks like an enum value stays as it is.
 */

import protobuf from 'protobufjs/light.js';
import { messageType } from './contract.js';
import { type EnumName, type EnumNames, enumNames, type ShortName } from './enum-names.js';
import type { EraseSubjectResponse__Output } from './generated/hone/v1/EraseSubjectResponse.js';
import type { Event__Output } from './generated/hone/v1/Event.js';
import type { ExplainGenerationResponse__Output } from './generated/hone/v1/ExplainGenerationResponse.js';
import type { GenerateResponse__Output } from './generated/hone/v1/GenerateResponse.js';
import type { Generation__Output } from './generated/hone/v1/Generation.js';
import type { GetServerStatusResponse__Output } from './generated/hone/v1/GetServerStatusResponse.js';
import type { LearnerStatus__Output } from './generated/hone/v1/LearnerStatus.js';
import type { RolloutStatus__Output } from './generated/hone/v1/RolloutStatus.js';
import type { StreamGenerateResponse__Output } from './generated/hone/v1/StreamGenerateResponse.js';
import type { Version__Output } from './generated/hone/v1/Version.js';

/** The messages that the client reads as plain data, with the types that the decoder returns. */
interface Messages {
  readonly EraseSubjectResponse: EraseSubjectResponse__Output;
  readonly Event: Event__Output;
  readonly ExplainGenerationResponse: ExplainGenerationResponse__Output;
  readonly GenerateResponse: GenerateResponse__Output;
  readonly Generation: Generation__Output;
  readonly GetServerStatusResponse: GetServerStatusResponse__Output;
  readonly LearnerStatus: LearnerStatus__Output;
  readonly RolloutStatus: RolloutStatus__Output;
  readonly StreamGenerateResponse: StreamGenerateResponse__Output;
  readonly Version: Version__Output;
}

/** Fields that may be absent: optional ones, and messages. */
type AbsentKeys<Message> = {
  [Key in keyof Message]-?: undefined extends Message[Key] ? Key : null extends Message[Key] ? Key : never;
}[keyof Message];

type PlainFields<Message> = {
  readonly [Key in keyof Message as Key extends `_${string}` | AbsentKeys<Message> ? never : Key]: Plain<Message[Key]>;
} & {
  readonly [Key in AbsentKeys<Message> as Key extends `_${string}` ? never : Key]?: Plain<NonNullable<Message[Key]>>;
};

/** A value of a message as plain data. */
export type Plain<Value> = Value extends number | boolean | Uint8Array
  ? Value
  : [Value] extends [string]
    ? string extends Value
      ? string
      : ShortName<Value> | 'unknown'
    : Value extends readonly (infer Item)[]
      ? readonly Plain<Item>[]
      : PlainFields<Value>;

/** Turns a message of `hone.v1` into plain data. */
export function plainMessage<Name extends keyof Messages>(name: Name, message: Messages[Name]): Plain<Messages[Name]> {
  return toPlain(messageType(`hone.v1.${name}`), message) as Plain<Messages[Name]>;
}

function toPlain(type: protobuf.Type, message: object): object {
  const fields: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const value = (message as Readonly<Record<string, unknown>>)[field.name];
    if (value === undefined || value === null) continue;
    const convert = converterOf(field);
    if (convert === undefined) fields[field.name] = value;
    else if (field.map) fields[field.name] = mapValues(value, convert);
    else fields[field.name] = field.repeated ? (value as readonly unknown[]).map(convert) : convert(value);
  }
  return fields;
}

/** What turns a value of a field into plain data; undefined if it is plain already. */
function converterOf({ resolvedType }: protobuf.Field): ((value: unknown) => unknown) | undefined {
  if (resolvedType instanceof protobuf.Type) return (value) => toPlain(resolvedType, value as object);
  if (!(resolvedType instanceof protobuf.Enum)) return undefined;
  const names: EnumNames<string> = enumNames[resolvedType.name as EnumName];
  return (value) => names.toName(value as string | number) ?? 'unknown';
}

function mapValues(map: object, convert: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, convert(value)]));
}
