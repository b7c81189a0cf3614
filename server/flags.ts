/** Reads the process's arguments by the table of flags; every value that comes out of here is of its flag's kind. */

import { parseArgs } from 'node:util';
import { HoneError } from '../src/errors.js';
import {
  flagHelp,
  flagSyntax,
  parseDuration,
  parseSize,
  type ServerFlag,
  type ServerFlagName,
  serverFlags,
  wrongValue,
} from './flag-table.js';

/** What was given; defaults are for whoever asks. */
export interface GivenFlags {
  /** Whether a switch was given. */
  has(name: ServerFlagName): boolean;
  text(name: ServerFlagName): string | undefined;
  /** The value of a count or a number; `undefined` too where a word stands in its place. */
  number(name: ServerFlagName): number | undefined;
  /** Bytes of a size. */
  bytes(name: ServerFlagName): number | undefined;
  /** Milliseconds of a duration. */
  milliseconds(name: ServerFlagName): number | undefined;
}

/**
 * @returns `null` where help is asked for
 * @throws HoneError `INVALID_OPTIONS` for unknown flags and wrong values
 */
export function readFlags(args: readonly string[]): GivenFlags | null {
  const values = parse(args);
  if (values.help === true) return null;
  for (const flag of serverFlags as readonly ServerFlag[]) {
    const value = values[flag.name];
    const wrong = typeof value === 'string' ? wrongValue(flag, value) : undefined;
    if (wrong !== undefined) throw invalidOption(`--${flag.name} ${wrong}, got ${JSON.stringify(value)}`);
  }
  const text = (name: ServerFlagName): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    has: (name) => values[name] === true,
    text,
    number(name) {
      const value = Number(text(name));
      return Number.isNaN(value) ? undefined : value;
    },
    bytes: (name) => parseSize(text(name) ?? ''),
    milliseconds: (name) => parseDuration(text(name) ?? ''),
  };
}

/** What is wrong with how the server was asked to run. */
export function invalidOption(message: string): HoneError {
  return new HoneError('INVALID_OPTIONS', message);
}

/** What `node server/main.js --help` shows. */
export function usage(): string {
  const lines = (serverFlags as readonly ServerFlag[]).map((flag) => {
    const syntax = flagSyntax(flag);
    return syntax.length < 28
      ? `  ${syntax.padEnd(28)}${flagHelp(flag)}`
      : `  ${syntax}\n${' '.repeat(30)}${flagHelp(flag)}`;
  });
  const title = 'Serves a model package over gRPC, keeps what it writes and learns from the scores that come back.';
  return `${title}\n\n${lines.join('\n')}\n  ${'--help'.padEnd(28)}this text\n`;
}

function parse(args: readonly string[]): Record<string, string | boolean | undefined> {
  const options: Record<string, { type: 'string' | 'boolean' }> = { help: { type: 'boolean' } };
  for (const { name, kind } of serverFlags) options[name] = { type: kind === 'switch' ? 'boolean' : 'string' };
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw invalidOption(error instanceof Error ? error.message : String(error));
  }
}
