/** `hone serve`: runs the server and keeps it running. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { flagHelp, flagSyntax, type ServerFlag, serverFlags } from '../../server/flag-table.js';
import { wrongValue } from '../../server/flag-values.js';
import type { ServerReady } from '../../server/parent-process.js';
import { commandName } from '../../src/command-name.js';
import { UsageError } from '../failure.js';
import { readText } from '../flags.js';
import { print, printJson, remark } from '../output.js';
import { Supervisor } from '../supervisor.js';

/** The flags that were given, by commander's names. They are passed on to the server as texts and switches. */
export type ServeFlags = Readonly<Record<string, string | boolean | undefined>>;

/** Adds the command. */
export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .summary('run the server')
    .description('Serves a policy over gRPC and learns from the scores that come back. Ctrl-C stops it gracefully.');
  for (const flag of serverFlags) command.addOption(toOption(flag));
  command.option('--json', 'print one line of JSON when the server is ready').action(async (flags: ServeFlags) => {
    process.exitCode = await serve(flags);
  });
}

function toOption(flag: ServerFlag): Option {
  const option = new Option(flagSyntax(flag), flagHelp(flag));
  if (flag.kind === 'switch') return option;
  return option.argParser((text: string) => {
    const wrong = wrongValue(flag, text);
    if (wrong !== undefined) throw new InvalidArgumentError(`It ${wrong}.`);
    return text;
  });
}

async function serve(given: ServeFlags): Promise<number> {
  const flags = await withFolder(given);
  const { authToken, authTokenFile } = flags;
  const token = typeof authTokenFile === 'string' ? readText(authTokenFile).trim() : authToken;
  if (token === '') throw new UsageError('the token is empty.');
  const supervisor = new Supervisor({
    file: fileURLToPath(new URL('../../server/main.js', import.meta.url)),
    ...argumentsOfStarts(flags),
    // The token goes into the environment, because other users of the machine can see arguments.
    env: { ...process.env, ...(typeof token === 'string' ? { HONE_AUTH_TOKEN: token } : {}) },
    onReady: (ready) => {
      if (flags.json === true) printJson(ready);
      else announce(ready);
      void noteSource(flags, ready);
    },
    onRestart: (reason, waitMs) => remark(`hone: the server ${reason}; starting it again in ${waitMs / 1000} s`),
  });
  return await runUntilStopped(supervisor);
}

/** Replaces the name of a model by its folder in the cache, fetching it if it is not there. */
async function withFolder(flags: ServeFlags): Promise<ServeFlags> {
  if (typeof flags.package !== 'string') return flags;
  const { findPackage } = await import('../hub/package-source.js');
  const bits = ([32, 8, 4] as const).find((one) => String(one) === flags.bits);
  const { directory, modelFile } = await findPackage(flags.package, {
    json: flags.json === true,
    ...(bits === undefined ? {} : { bits }),
  });
  // In a download the configuration may lie beside the model's file; the server looks there.
  if (modelFile === undefined && !existsSync(join(directory, 'config.json'))) {
    throw new UsageError(`no model in ${resolve(directory)}: give the folder that holds config.json with --package.`);
  }
  return { ...flags, package: directory, modelFile: flags.modelFile ?? modelFile };
}

/** Notes for `hone models` that a model of the cache serves, and learns. */
async function noteSource({ package: directory, modelFile }: ServeFlags, { learner }: ServerReady): Promise<void> {
  if (modelFile === undefined) return;
  const { noteServing } = await import('../hub/package-source.js');
  await noteServing(directory, modelFile, learner);
}

async function runUntilStopped(supervisor: Supervisor): Promise<number> {
  let stoppedAt = 0;
  const stop = (): void => {
    // A single Ctrl-C may arrive twice, from the terminal and from npm. Only a later one is meant as a second.
    const now = Date.now();
    if (stoppedAt !== 0 && now - stoppedAt < 1000) return;
    if (stoppedAt === 0) remark('hone: stopping (press Ctrl-C again to stop at once)');
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

/** The arguments of the server's first start, and of the starts after it was ready once. */
export function argumentsOfStarts(flags: ServeFlags): { readonly args: string[]; readonly laterArgs: string[] } {
  const passed = { ...flags, authToken: undefined, authTokenFile: undefined };
  return {
    args: toArguments(passed),
    // The first start has made what was lost and stored the mode. Nothing is lost at a later one, and `hone mode` may have
    // set another mode since.
    laterArgs: toArguments({ ...passed, startWithout: undefined, mode: undefined }),
  };
}

/** Writes the flags as the arguments of the server process. */
function toArguments(flags: ServeFlags): string[] {
  return (serverFlags as readonly ServerFlag[]).flatMap((flag) => {
    const option = toOption(flag);
    const value = flags[option.attributeName()];
    // For `--no-metrics` commander sets `metrics` to false, and to true if the flag is absent.
    if (flag.kind === 'switch') return value === !option.negate ? [`--${flag.name}`] : [];
    return value === undefined ? [] : [`--${flag.name}`, String(value)];
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
    `  threads  ${ready.threads}${ready.spin ? ', spinning' : ''}`,
    ...(ready.metrics === null ? [] : [`  metrics  ${ready.metrics}`]),
    '',
    '  Try, in another terminal:',
    `    ${hone} generate${address} "My nephew keeps losing my coat. It started ten weeks ago. Would it be wrong to set some rules?"`,
    `    ${hone} feedback${address} <generation id> 0.8`,
    `    ${hone} status${address} --watch`,
    '',
  );
}
