/** Makes messages of the contract in which every text is hostile, for tests of the code that prints them. */

import { join } from 'node:path';
import protobuf from 'protobufjs';
import { projectFolder } from './server.js';

/** A text that clears the screen, sets the title, reverses the direction of writing and fakes further lines. */
export const hostile =
  'evil\u001b[2J\u001b]0;title\u0007\u009b31m\u202egnirts\u2066\u0000\nversion 9 is live\r\u2028end\u007f';

/** Matches characters that a terminal would obey or would not show. */
export const unprintable = /(?!\u200c|\u200d|\n|\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

const root = new protobuf.Root();
root.resolvePath = (_, target) => join(projectFolder, 'proto', target);
const files = [
  'admin',
  'events',
  'feedback',
  'generation',
  'learner',
  'replay',
  'reward',
  'rollout',
  'status',
  'versions',
];
root.loadSync(files.map((name) => `hone/v1/${name}.proto`)).resolveAll();

/** Makes an answer of a method with all fields set: texts are hostile, numbers are 1. */
export function hostileAnswer(service: string, method: string): object {
  const { resolvedResponseType } = root.lookupService(`hone.v1.${service}`).methods[method] as protobuf.Method;
  return hostileMessage(resolvedResponseType as protobuf.Type);
}

function hostileMessage(type: protobuf.Type, depth = 0): object {
  const taken = new Set<string>();
  return Object.fromEntries(
    type.fieldsArray.flatMap((field) => {
      // In a oneof, only the first field is set.
      const choice = field.partOf !== null && !field.partOf.isProto3Optional ? field.partOf.name : undefined;
      if (depth > 6 || (choice !== undefined && taken.has(choice))) return [];
      if (choice !== undefined) taken.add(choice);
      const value = hostileValue(field, depth);
      if (field.map) return [[field.name, { [hostile]: value }]];
      return [[field.name, field.repeated ? [value] : value]];
    }),
  );
}

function hostileValue(field: protobuf.Field, depth: number): unknown {
  const { resolvedType, type } = field.resolve();
  if (resolvedType instanceof protobuf.Enum) return Object.keys(resolvedType.values)[1];
  if (resolvedType instanceof protobuf.Type) return hostileMessage(resolvedType, depth + 1);
  return type === 'string' ? hostile : type === 'bytes' ? Buffer.from(hostile) : type === 'bool' ? true : 1;
}
