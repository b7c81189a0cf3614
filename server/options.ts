/** The server's settings: flags and environment -> checked -> complete. The environment is read here and nowhere else. */

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { HoneError } from '../src/errors.js';
import { packageFolder } from './grpc/contract.js';

/** What `node server/main.js --help` shows; `hone serve` takes the same flags. */
export const usage = `Serves a model package over gRPC, keeps what it writes and learns from the scores that come back.

  --data <folder>             what is kept: store, versions, learner (default ./data; made when missing)
  --package <folder>          the model package to serve (default: the one that ships with Hone)
  --host <address>            where to listen (default 127.0.0.1)
  --port <number>             0 takes any free one (default 50051)
  --auth-token <token>        callers must send it as a bearer token (or HONE_AUTH_TOKEN, or --auth-token-file)
  --auth-token-file <file>    the same, from a file
  --insecure                  allow an address other than loopback without a token
  --learner on|off            whether to learn (default on)
  --threads <n>               of the inference worker (default 1)
  --learner-threads <n>       of the learner (default: all cores but one)
  --max-live-versions <n>     versions that may serve at once while old requests end (default 4)
  --beta, --learning-rate, --rank, --scores-per-round, --max-staleness <number>
                              the learner's main settings
  --learner-settings <json>   any of the learner's settings, e.g. '{"groupSize":8}'
  --max-open-requests <n>     requests that may run or wait at once (default 1024)
  --drain-grace-ms <n>        how long stopping waits for running requests (default 10000)
  --no-reflection             do not describe the services to gRPC tools
  --log-level <level>         silent, error, warn, info, debug, trace (default info); the log goes to standard error
  --help                      this text
`;

const flags = {
  data: { type: 'string', default: 'data' },
  package: { type: 'string' },
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '50051' },
  'auth-token': { type: 'string' },
  'auth-token-file': { type: 'string' },
  insecure: { type: 'boolean', default: false },
  learner: { type: 'string', default: 'on' },
  threads: { type: 'string' },
  'learner-threads': { type: 'string' },
  'max-live-versions': { type: 'string' },
  beta: { type: 'string' },
  'learning-rate': { type: 'string' },
  rank: { type: 'string' },
  'scores-per-round': { type: 'string' },
  'max-staleness': { type: 'string' },
  'learner-settings': { type: 'string', default: '{}' },
  'max-open-requests': { type: 'string', default: '1024' },
  'drain-grace-ms': { type: 'string', default: '10000' },
  'no-reflection': { type: 'boolean', default: false },
  'log-level': { type: 'string', default: 'info' },
  help: { type: 'boolean', default: false },
} as const;

/** Flags that are settings of the learner, and what those are called there. */
const learnerFlags = {
  beta: 'beta',
  'learning-rate': 'learningRate',
  rank: 'rank',
  'scores-per-round': 'scoresPerRound',
  'max-staleness': 'maxStaleness',
  'learner-threads': 'threads',
} as const;

/** Complete, contradictions refused. */
export interface ServerOptions {
  readonly dataDirectory: string;
  readonly packageDirectory: string;
  readonly host: string;
  readonly port: number;
  readonly authToken: string | undefined;
  /** Callers without a token may reach it from elsewhere. */
  readonly insecure: boolean;
  readonly learner: boolean;
  readonly reflection: boolean;
  /** What differs from the learner's own defaults; checked by it. */
  readonly learnerSettings: Readonly<Record<string, unknown>>;
  /** Of the inference worker; `undefined`: the policy's default. */
  readonly threads: number | undefined;
  readonly maxLiveVersions: number | undefined;
  readonly maxOpenRequests: number;
  readonly drainGraceMs: number;
  readonly logLevel: string;
}

const settings = z.record(z.string(), z.unknown());
const logLevels = ['silent', 'error', 'warn', 'info', 'debug', 'trace'];

/**
 * Reads the flags; `undefined` where help is asked for.
 * @throws HoneError `INVALID_OPTIONS`
 */
export function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv): ServerOptions | undefined {
  const values = parseFlags(args);
  if (values.help) return undefined;
  const { host } = values;
  const authToken = readToken(values, environment);
  if (!isLoopback(host) && authToken === undefined && !values.insecure) {
    throw invalid(`--host ${host} can be reached by others: give --auth-token, or --insecure to allow everybody`);
  }
  if (!logLevels.includes(values['log-level'])) throw invalid(`--log-level must be one of ${logLevels.join(', ')}`);
  if (values.learner !== 'on' && values.learner !== 'off') throw invalid('--learner must be on or off');
  return {
    dataDirectory: resolve(values.data),
    packageDirectory: resolve(values.package ?? join(packageFolder, 'models/tldr')),
    host,
    port: parseCount('--port', values.port, 0, 65_535),
    authToken,
    insecure: authToken === undefined && !isLoopback(host),
    learner: values.learner === 'on',
    reflection: !values['no-reflection'],
    learnerSettings: parseLearnerSettings(values),
    threads: optionalCount('--threads', values.threads),
    maxLiveVersions: optionalCount('--max-live-versions', values['max-live-versions']),
    maxOpenRequests: parseCount('--max-open-requests', values['max-open-requests'], 1),
    drainGraceMs: parseCount('--drain-grace-ms', values['drain-grace-ms'], 0),
    logLevel: values['log-level'],
  };
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function readToken(values: ReturnType<typeof parseFlags>, environment: NodeJS.ProcessEnv): string | undefined {
  const file = values['auth-token-file'];
  const token = values['auth-token'] ?? (file === undefined ? environment.HONE_AUTH_TOKEN : readTokenFile(file));
  if (token === undefined) return undefined;
  // What a header cannot carry could never be sent back.
  if (!/^[\x21-\x7e]{8,256}$/.test(token)) throw invalid('the token must be 8 to 256 printable ASCII characters');
  return token;
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw invalid(`--auth-token-file cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function parseLearnerSettings(values: ReturnType<typeof parseFlags>): Record<string, unknown> {
  const text = values['learner-settings'];
  const result: Record<string, unknown> = {};
  try {
    Object.assign(result, settings.parse(JSON.parse(text)));
  } catch {
    throw invalid(`--learner-settings must be a JSON object, got ${text}`);
  }
  for (const [flag, name] of Object.entries(learnerFlags)) {
    const value = values[flag as keyof typeof learnerFlags];
    if (value === undefined) continue;
    const number = Number(value);
    if (value.trim() === '' || !Number.isFinite(number)) throw invalid(`--${flag} must be a number, got ${value}`);
    result[name] = number;
  }
  return result;
}

function optionalCount(flag: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseCount(flag, text, 1);
}

function parseCount(flag: string, text: string, min: number, max = 2 ** 31 - 1): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(`${flag} must be a whole number from ${min}, got ${text}`);
  }
  return value;
}

function invalid(message: string): HoneError {
  return new HoneError('INVALID_OPTIONS', message);
}
