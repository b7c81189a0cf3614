/** Shared by the commands: flags to reach a server, the connection to it, parsers of numbers, and input from files. */

import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { HoneClient } from '../client/index.js';
import { isLoopback } from '../src/loopback.js';
import { Interrupted, UsageError } from './failure.js';
import { printJsonWarning, remark } from './output.js';

/** The flags that {@link addConnectionFlags} adds. */
export interface ConnectionFlags {
  readonly address?: string;
  readonly tokenFile?: string;
  readonly tls?: boolean | string;
  readonly timeout?: number;
  readonly keepalive?: number;
  readonly json?: boolean;
}

/** Adds the flags of every command that calls a server. */
export function addConnectionFlags(command: Command): Command {
  return command
    .option('--address <host:port>', 'address of the server (or HONE_ADDRESS; default 127.0.0.1:50051)')
    .option('--token-file <path>', 'file that holds the bearer token (or HONE_TOKEN holds the token)')
    .option('--tls [ca]', 'use TLS, trusting the authorities in this PEM file or those of the system')
    .option('--timeout <seconds>', 'longest time for a call (default 60; no limit for streams)', parseSeconds)
    .option(
      '--keepalive <seconds>',
      'time after which a server that has gone silent counts as gone (default 30)',
      parseKeepalive,
    )
    .option('--json', 'print one line of JSON per result');
}

/** Connects to the server that the flags name, runs `work`, and closes. Ctrl-C aborts the signal passed to `work`. */
export async function withClient<T>(
  flags: ConnectionFlags,
  work: (client: HoneClient, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { connect } = await import('../client/index.js');
  const token = flags.tokenFile === undefined ? process.env.HONE_TOKEN : readText(flags.tokenFile).trim();
  const address = flags.address ?? process.env.HONE_ADDRESS;
  if (token !== undefined && token !== '' && (flags.tls ?? false) === false)
    warnOfClearText(address, flags.json === true);
  const client = await connect({
    // Enough for a running server to answer, and short enough that a missing one is reported soon.
    connectTimeoutMs: 1500,
    ...(address === undefined ? {} : { address }),
    ...(token === undefined || token === '' ? {} : { token }),
    ...(flags.tls === undefined
      ? {}
      : { tls: typeof flags.tls === 'string' ? { rootCertificates: Buffer.from(readText(flags.tls)) } : flags.tls }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout * 1000 }),
    ...(flags.keepalive === undefined ? {} : { keepaliveMs: flags.keepalive * 1000 }),
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

/** Warns once if the token, and all texts, can be read on the way to the server. */
function warnOfClearText(address: string | undefined, json: boolean): void {
  const host = hostOf(address ?? '127.0.0.1');
  if (host === undefined || isLoopback(host)) return;
  const message = `the token and all texts travel in clear to ${host}: give --tls if the server is behind a proxy that ends TLS, or use an SSH tunnel`;
  if (json) printJsonWarning({ code: 'TOKEN_IN_CLEAR', message });
  else remark(`warning: ${message}`);
}

/** The host of an address as gRPC writes them; undefined for a socket in the file system. */
function hostOf(address: string): string | undefined {
  if (/^unix(-abstract)?:/.test(address)) return undefined;
  const [, host = ''] = /^(?:dns:(?:\/\/[^/]*\/)?|ipv[46]:)?(.*)$/.exec(address) ?? [];
  const [, bracketed] = /^\[([^\]]*)\]/.exec(host) ?? [];
  return bracketed ?? (/^[^:]*:\d+$/.test(host) ? host.replace(/:\d+$/, '') : host);
}

/** Parses a finite number for commander. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** Parses a positive number of seconds for commander. */
function parseSeconds(text: string): number {
  const value = parseNumber(text);
  if (value <= 0) throw new InvalidArgumentError('It must be greater than 0.');
  return value;
}

/** Parses the time to notice a dead connection for commander, in the bounds of the client. */
function parseKeepalive(text: string): number {
  const value = parseNumber(text);
  if (value < 0.3 || value > 86_400) throw new InvalidArgumentError('It must be a number from 0.3 to 86400.');
  return value;
}

/** Parses an integer for commander. */
export function parseInteger(text: string): number {
  const value = parseNumber(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** Parses an integer of at least 0 for commander. */
export function parseCount(text: string): number {
  const value = parseInteger(text);
  if (value < 0) throw new InvalidArgumentError('It must be a whole number, 0 or greater.');
  return value;
}

/** Reads a file that a flag names. @throws UsageError if it cannot be read */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    throw new UsageError(`cannot read ${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/**
 * Reads standard input to its end, without the last line break.
 * @param what a noun for the message if standard input is a terminal
 */
export async function readStandardInput(what: string): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError(`no ${what}: give it as an argument or on standard input.`);
  process.stdin.setEncoding('utf8');
  let text = '';
  for await (const piece of process.stdin) text += piece;
  return text.replace(/\r?\n$/, '');
}
