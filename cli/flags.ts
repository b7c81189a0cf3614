/** Flags that several commands share: how to reach the server, how to parse numbers, how to be interrupted. */

import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { HoneClient } from '../client/index.js';
import { Interrupted, UsageError } from './failure.js';

/** What {@link addConnectionFlags} adds. */
export interface ConnectionFlags {
  readonly address?: string;
  readonly tokenFile?: string;
  readonly tls?: boolean | string;
  readonly timeout?: number;
  readonly json?: boolean;
}

/** Flags of every command that talks to a server. */
export function addConnectionFlags(command: Command): Command {
  return command
    .option('--address <host:port>', 'where the server listens (HONE_ADDRESS; default 127.0.0.1:50051)')
    .option('--token-file <path>', 'file that holds the bearer token (or HONE_TOKEN holds it)')
    .option('--tls [ca]', 'use TLS, trusting the authorities of this PEM file or of the system')
    .option('--timeout <seconds>', 'give up after so long (default 60; streams: never)', parseSeconds)
    .option('--json', 'print one line of JSON per result');
}

/** Connects as the flags say, runs `work`, closes. Ctrl-C aborts the signal that `work` is given. */
export async function withClient<T>(
  flags: ConnectionFlags,
  work: (client: HoneClient, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { connect } = await import('../client/index.js');
  const token = flags.tokenFile === undefined ? process.env.HONE_TOKEN : readText(flags.tokenFile).trim();
  const address = flags.address ?? process.env.HONE_ADDRESS;
  const client = await connect({
    // Long enough for a server that is here, short enough for a person who has none.
    connectTimeoutMs: 1500,
    ...(address === undefined ? {} : { address }),
    ...(token === undefined || token === '' ? {} : { token }),
    ...(flags.tls === undefined
      ? {}
      : { tls: typeof flags.tls === 'string' ? { rootCertificates: Buffer.from(readText(flags.tls)) } : flags.tls }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout * 1000 }),
  });
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort(new Interrupted());
  process.once('SIGINT', interrupt);
  try {
    return await work(client, interruption.signal);
  } catch (thrown) {
    throw interruption.signal.aborted ? new Interrupted() : thrown;
  } finally {
    process.removeListener('SIGINT', interrupt);
    client.close();
  }
}

/** A finite number, for commander. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** A positive number of seconds, for commander. */
function parseSeconds(text: string): number {
  const value = parseNumber(text);
  if (value <= 0) throw new InvalidArgumentError('It must be more than 0.');
  return value;
}

/** A whole number, for commander. */
export function parseInteger(text: string): number {
  const value = parseNumber(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** A whole number from 0, for commander. */
export function parseCount(text: string): number {
  const value = parseInteger(text);
  if (value < 0) throw new InvalidArgumentError('It must be a whole number from 0.');
  return value;
}

/** The text of a file that a flag names. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    throw new UsageError(`cannot read ${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/** All of standard input, without a last end of line. */
export async function readStandardInput(what: string): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError(`no ${what}: give it as an argument, or on standard input.`);
  process.stdin.setEncoding('utf8');
  let text = '';
  for await (const piece of process.stdin) text += piece;
  return text.replace(/\r?\n$/, '');
}
