/**
 * The server as a process: flags and environment in, exit code out. A parent that starts it with a channel hears when
 * it is ready, and its end ends the server; a person at a terminal reads the summary.
 *
 * Exit codes: 0 stopped, 1 failed (starting it again may help), 78 cannot run as it was asked to.
 */

import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import pino from 'pino';
import { configurationExitCode, type ServerReady } from '../proto/server-messages.js';
import { HoneError } from '../src/errors.js';
import { usage } from './flags.js';
import { readOptions, type ServerOptions } from './options.js';
import { type RunningServer, startServer } from './start.js';

const failureExitCode = 1;

/** Codes whose cause will still be there after a restart. */
const lasting = new Set([
  'DATA_DIRECTORY_LOCKED',
  'INVALID_OPTIONS',
  'PACKAGE_INVALID',
  'MODEL_INVALID',
  'OPERATOR_UNSUPPORTED',
  'OPERATOR_NOT_DIFFERENTIABLE',
  'MODEL_NOT_TRAINABLE',
  'STORE_CORRUPT',
  'STORE_TOO_NEW',
]);

async function main(): Promise<void> {
  // The gRPC library writes lines of its own to standard error; what matters of them is in the errors it gives.
  if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === undefined) {
    process.stdout.write(usage());
    return;
  }
  // Whatever this process and the learner write is for their user alone.
  process.umask(0o077);
  const log = pino({ level: options.logLevel, base: { pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
  let stopping = false;
  let server: RunningServer | undefined;
  const stop = (why: string, exitCode: number) => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    const close = server?.close() ?? Promise.resolve();
    close.then(() => {
      log.info('stopped');
      process.exit(exitCode);
    }, fail);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal, 0));
  if (process.send !== undefined) process.on('disconnect', () => stop('the parent process ended', 0));
  server = await startServer(options, log, (error) => {
    log.fatal({ code: error.code }, error.message);
    stop(error.code, failureExitCode);
  });
  announce(server, options);
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
    ...(options.insecure ? ['  warning  anybody who reaches this address can use it: --insecure'] : []),
    '',
    'Try, in another terminal:',
    `  npx hone generate --address ${address} "Write a haiku about spring."`,
    `  npx hone status --address ${address}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function fail(thrown: unknown): never {
  const error = HoneError.from(thrown);
  process.stderr.write(`hone: ${error.message} (${error.code})\n`);
  if (error.code === 'INTERNAL' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
  process.exit(lasting.has(error.code) ? configurationExitCode : failureExitCode);
}

await main().catch(fail);
