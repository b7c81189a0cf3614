/**
 * The server as a process: it reads flags and environment, runs until it is stopped, and ends with an exit code. A
 * parent process that opens a channel gets a message when the server is ready, and the server stops when the parent
 * ends. Without a channel the server prints a summary for a person.
 *
 * Exit codes: 0 stopped, 1 failed (a restart may help), 78 cannot run with these settings, or must not be started again.
 */

import { commandName } from '../src/command-name.js';
import { HoneError } from '../src/errors.js';
import { installationFault } from '../src/installation.js';
import { printable } from '../src/printable.js';
import { openLog } from './log.js';
import { readOptions, type ServerOptions } from './options.js';
import { configurationExitCode, type ServerReady } from './parent-process.js';
import { usage } from './read-flags.js';
import type { RunningServer } from './start.js';

const failureExitCode = 1;

/** Codes of errors that a restart does not fix. */
const lasting = new Set([
  'DATA_DIRECTORY_LOCKED',
  'DATA_DIRECTORY_LOST',
  'INVALID_OPTIONS',
  'INSTALLATION_DAMAGED',
  'PACKAGE_INVALID',
  'MODEL_INVALID',
  'OPERATOR_UNSUPPORTED',
  'OPERATOR_NOT_DIFFERENTIABLE',
  'MODEL_NOT_TRAINABLE',
  'STORE_CORRUPT',
  'STORE_TOO_NEW',
  'STATE_LOST',
]);

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === undefined) {
    process.stdout.write(usage());
    return;
  }
  // Only this user may read the files that this process and the learner write.
  process.umask(0o077);
  const format = options.logFormat ?? (process.stderr.isTTY ? 'text' : 'json');
  const log = openLog({ level: options.logLevel, format });
  for (const { code, message } of options.warnings) log.warn({ code }, message);
  const stopping = new AbortController();
  let stop = (_why: string, _exitCode: number): void => undefined;
  const onFatal = (error: HoneError): void => {
    log.fatal({ code: error.code }, error.message);
    stop(error.code, exitCodeOf(error));
  };
  // Loaded here, because --help and wrong flags do not need it.
  const starting = import('./start.js').then(({ startServer }) => startServer(options, log, onFatal, stopping.signal));
  stop = (why, exitCode) => {
    if (stopping.signal.aborted) return;
    log.info({ why }, 'stopping');
    stopping.abort();
    // If the start was stopped or failed, it has closed what it had opened.
    const ended = starting.then(
      (server) => server.close(),
      () => undefined,
    );
    ended.then(() => {
      log.info('stopped');
      process.exit(exitCode);
    }, fail);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal, 0));
  if (process.send !== undefined) process.on('disconnect', () => stop('the parent process ended', 0));
  let server: RunningServer;
  try {
    server = await starting;
  } catch (error) {
    // `stop` ends the process.
    if (stopping.signal.aborted) return;
    throw error;
  }
  if (!stopping.signal.aborted) announce(server, options);
}

function announce(server: RunningServer, options: ServerOptions): void {
  const { address, metrics } = server.record;
  const { version } = server.agent.identity();
  if (process.send !== undefined) {
    process.send({
      type: 'ready',
      address,
      metrics,
      data: options.dataDirectory,
      package: server.packageName,
      version,
      learner: options.learner,
      threads: server.threads,
      spin: server.spin,
      pid: process.pid,
    } satisfies ServerReady);
    return;
  }
  const lines = [
    `Hone serves ${server.packageName}, version ${version}, at ${address}`,
    `  data     ${options.dataDirectory}`,
    `  learner  ${options.learner ? 'on' : 'off'}`,
    `  threads  ${server.threads}${server.spin ? ', spinning' : ''}`,
    ...(metrics === null ? [] : [`  metrics  ${metrics}`]),
    '',
    'Try in another terminal:',
    `  ${commandName()} generate --address ${address} "Write a haiku about spring."`,
    `  ${commandName()} status --address ${address}`,
  ];
  for (const line of lines) process.stdout.write(`${printable(line)}\n`);
}

function fail(thrown: unknown): never {
  const fault = installationFault(thrown);
  const error =
    fault === undefined ? HoneError.from(thrown) : new HoneError('INSTALLATION_DAMAGED', fault, { cause: thrown });
  process.stderr.write(`hone: ${printable(error.message)} (${error.code})\n`);
  if (error.code === 'INTERNAL' && error.cause instanceof Error) {
    for (const line of (error.cause.stack ?? '').split('\n')) process.stderr.write(`${printable(line)}\n`);
  }
  process.exit(exitCodeOf(error));
}

function exitCodeOf({ code }: HoneError): number {
  return lasting.has(code) ? configurationExitCode : failureExitCode;
}

await main().catch(fail);
