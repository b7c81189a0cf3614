/** `hone serve`: runs the server and keeps it running. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { UsageError } from './failure.js';
import { parseCount, parseNumber, readText } from './flags.js';
import { commandName, print, printJson, remark } from './output.js';
import { type ServerReady, Supervisor } from './supervisor.js';

interface ServeFlags {
  readonly package: string;
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly authToken?: string;
  readonly authTokenFile?: string;
  readonly json?: boolean;
  /** Flags that go to the server as they are. */
  readonly [name: string]: string | number | boolean | undefined;
}

const defaultPackage = join(dirname(createRequire(import.meta.url).resolve('hone/package.json')), 'models/tldr');

/** Adds the command. */
export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .summary('run the server')
    .description('Serves a policy over gRPC and learns from the scores that come back. Ctrl-C stops it gracefully.')
    .addOption(
      new Option('--package <folder>', 'the model, in Hugging Face layout with onnx/model.onnx').default(
        defaultPackage,
        'the one that comes with Hone',
      ),
    )
    .option('--data <folder>', 'where generations, scores and versions are kept', 'data')
    .option('--host <address>', 'address to listen on; others than loopback need a token', '127.0.0.1')
    .option('--port <number>', 'port to listen on; 0 takes a free one', parseCount, 50051)
    .option('--auth-token <token>', 'bearer token that calls must carry (better: --auth-token-file, HONE_AUTH_TOKEN)')
    .option('--auth-token-file <path>', 'file that holds the token')
    .option('--insecure', 'listen on any address without a token')
    .addOption(new Option('--learner <state>', 'whether to learn').choices(['on', 'off']).default('on'))
    .option('--threads <count>', 'threads of the policy (default: 1)', parseCount)
    .option('--learner-threads <count>', 'threads of the learner (default: all cores but one)', parseCount)
    .option(
      '--max-live-versions <count>',
      'versions that may serve at once while old requests end (default: 4)',
      parseCount,
    )
    .addOption(
      new Option('--log-level <level>', 'default: info; warn on a terminal').choices([
        'trace',
        'debug',
        'info',
        'warn',
        'error',
        'silent',
      ]),
    )
    .option('--no-reflection', 'do not describe the services to gRPC tools')
    .option('--beta <number>', 'learner: strength of the pull towards the first version', parseNumber)
    .option('--learning-rate <number>', 'learner: step size', parseNumber)
    .option('--rank <count>', 'learner: rank of the adapters', parseCount)
    .option('--scores-per-round <count>', 'learner: new scored generations that start a round', parseCount)
    .option('--max-staleness <count>', 'learner: leave out generations so many versions old', parseCount)
    .option('--learner-settings <json>', 'learner: any of its settings, e.g. {"groupSize":8}')
    .option('--max-open-requests <count>', 'requests that may run or wait at once (default: 1024)', parseCount)
    .option('--drain-grace-ms <count>', 'how long stopping waits for running requests (default: 10000)', parseCount)
    .option('--json', 'print one line of JSON when the server is ready')
    .action(async (flags: ServeFlags) => {
      process.exitCode = await serve(flags);
    });
}

async function serve(flags: ServeFlags): Promise<number> {
  const { authToken, authTokenFile, json, ...rest } = flags;
  if (!existsSync(join(flags.package, 'config.json'))) {
    throw new UsageError(
      `no model in ${resolve(flags.package)}: name its folder, the one with config.json, with --package.`,
    );
  }
  if (flags.port > 65_535) throw new UsageError(`port ${flags.port} does not exist: the last is 65535.`);
  const token = authTokenFile === undefined ? authToken : readText(authTokenFile).trim();
  if (token === '') throw new UsageError('the token is empty.');
  // A person wants the summary; what collects the output of a service wants the log.
  const logLevel = flags.logLevel ?? (process.stderr.isTTY ? 'warn' : 'info');
  const supervisor = new Supervisor({
    file: fileURLToPath(new URL('../../server/main.js', import.meta.url)),
    args: toArguments({ ...rest, package: resolve(flags.package), data: resolve(flags.data), logLevel }),
    // The environment, unlike arguments, is not shown to other users of the machine.
    env: { ...process.env, ...(token === undefined ? {} : { HONE_AUTH_TOKEN: token }) },
    onReady: (ready) => (json ? printJson(ready) : announce(ready)),
    onRestart: (reason, waitMs) => remark(`hone: the server ${reason}; starting it again in ${waitMs / 1000} s`),
  });
  return await runUntilStopped(supervisor);
}

async function runUntilStopped(supervisor: Supervisor): Promise<number> {
  let stoppedAt = 0;
  const stop = (): void => {
    // A terminal and npm both pass one Ctrl-C on: only a later one is meant as a second.
    const now = Date.now();
    if (stoppedAt !== 0 && now - stoppedAt < 1000) return;
    if (stoppedAt === 0) remark('hone: stopping; running requests are ended first (again to stop at once)');
    stoppedAt = now;
    supervisor.stop();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, stop);
  try {
    return await supervisor.run();
  } finally {
    for (const signal of signals) process.removeListener(signal, stop);
  }
}

/** `{ maxLiveVersions: 4, insecure: true }` as `--max-live-versions 4 --insecure`; `reflection: false` as `--no-reflection`. */
function toArguments(flags: Omit<ServeFlags, 'authToken' | 'authTokenFile' | 'json'>): string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (value === undefined || (value === true && name === 'reflection')) return [];
    if (typeof value === 'boolean') return value ? [`--${flag}`] : [`--no-${flag}`];
    return [`--${flag}`, String(value)];
  });
}

function announce(ready: ServerReady): void {
  const address = ready.address === '127.0.0.1:50051' ? '' : ` --address ${ready.address}`;
  const hone = commandName();
  print(
    '',
    `  Hone serves ${ready.package}, version ${ready.version}, at ${ready.address}`,
    `  data     ${ready.data}`,
    `  learner  ${ready.learner ? 'on' : 'off'}`,
    '',
    '  Try, in another terminal:',
    `    ${hone} generate${address} "My nephew keeps losing my coat. It started ten weeks ago. Would it be wrong to set some rules?"`,
    `    ${hone} feedback${address} <generation id> 0.8`,
    `    ${hone} status${address} --watch`,
    '',
  );
}
