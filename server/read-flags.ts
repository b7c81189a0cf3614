/** Parses the process's arguments with the table of flags, so that every value has its flag's kind. */

import { parseArgs } from 'node:util';
import { HoneError } from '../src/errors.js';
import { flagHelp, flagSyntax, type ServerFlag, type ServerFlagName, serverFlags } from './flag-table.js';
import { parseDuration, parseSize, wrongValue } from './flag-values.js';

/** The flags that were given. The caller applies the defaults. */
export interface GivenFlags {
  /** Whether a switch was given. */
  has(name: ServerFlagName): boolean;
  text(name: ServerFlagName): string | undefined;
  /** The value of a count or a number; `undefined` as well if a word such as `auto` was given. */
  number(name: ServerFlagName): number | undefined;
  /** A size in bytes. */
  bytes(name: ServerFlagName): number | undefined;
  /** A duration in milliseconds. */
  milliseconds(name: ServerFlagName): number | undefined;
}

/**
 * @returns `null` if --help was given
 * @throws HoneError `INVALID_OPTIONS` for an unknown flag or a wrong value
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

/** The error for flags that the server cannot run with. */
export function invalidOption(message: string): HoneError {
  return new HoneError('INVALID_OPTIONS', message);
}

/** The output of `node server/main.js --help`. */
export function usage(): string {
  const lines = (serverFlags as readonly ServerFlag[]).map((flag) => {
    const syntax = flagSyntax(flag);
    return syntax.length < 28
      ? `  ${syntax.padEnd(28)}${flagHelp(flag)}`
      : `  ${syntax}\n${' '.repeat(30)}${flagHelp(flag)}`;
  });
  const title = 'Serves a model package over gRPC, stores the completions and learns from the scores that come back.';
  return `${title}\n\n${lines.join('\n')}\n  ${'--help'.padEnd(28)}shows this text\n`;
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
