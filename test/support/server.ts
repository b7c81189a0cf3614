/** Starts the real server process on a free port with its own data directory, and connects the real client to it. */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type ConnectOptions, connect, type HoneClient } from '../../client/index.js';
import type { ServerReady } from '../../server/parent-process.js';
import { temporaryFolder } from './folders.js';
import { endGroup, groupGone, membersOf, startProcess } from './processes.js';

/** The folder of the project. */
export const projectFolder = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

/** A random Llama-like package of a few thousand parameters. */
export const tinyPackage = join(projectFolder, 'test/fixtures/tiny');

const mainFile = new URL('../../server/main.js', import.meta.url).pathname;

export interface TestServer extends AsyncDisposable {
  readonly ready: ServerReady;
  readonly process: ChildProcess;
  /** Returns everything that the process wrote to standard error. */
  log(): string;
  /** Connects another client, which is closed with the server. */
  connect(options?: ConnectOptions): Promise<HoneClient>;
  /** Sends SIGKILL to the server. Resolves when the processes that it had started have ended too. */
  kill(): Promise<void>;
  /** Sends SIGTERM and resolves to the exit code. Throws if the server leaves a process behind. */
  stop(): Promise<number | null>;
}

export interface StartOptions {
  /** Default: a new temporary folder. */
  readonly data?: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** A command prefix that runs the server, see `file-systems.ts`. */
  readonly within?: readonly string[];
  /** Called with the process before it is ready. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

/** Runs a server that refuses to start until it ends by itself. */
export async function runServer(options: StartOptions = {}): Promise<{ code: number | null; output: string }> {
  const { child, output } = spawnServer(options.data ?? temporaryFolder(), options);
  const [code] = (await once(child, 'close')) as [number | null];
  expectNoneLeft(child);
  return { code, output: output() };
}

/** Starts a server on the tiny package, without a learner unless `args` turn it on, and waits until it is ready. */
export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const { child, output } = spawnServer(options.data ?? temporaryFolder(), options);
  const ready = await new Promise<ServerReady>((resolve, reject) => {
    child.once('message', (message) => resolve(message as ServerReady));
    child.once('exit', (code, signal) => {
      reject(new Error(`the server ended before it was ready (${signal ?? code}): ${output()}`));
    });
  });
  const clients: HoneClient[] = [];
  const closeClients = () => {
    for (const client of clients.splice(0)) client.close();
  };
  const end = async (signal: NodeJS.Signals) => {
    closeClients();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    ready,
    process: child,
    log: output,
    async connect(connectOptions = {}) {
      const client = await connect({ address: ready.address, ...connectOptions });
      clients.push(client);
      return client;
    },
    async kill() {
      await end('SIGKILL');
      await groupGone(child.pid as number);
    },
    async stop() {
      await end('SIGTERM');
      expectNoneLeft(child);
      return child.exitCode;
    },
    async [Symbol.asyncDispose]() {
      closeClients();
      await endGroup(child.pid as number);
    },
  };
}

/** Checks that a server which ended by itself has waited for the processes that it had started. */
function expectNoneLeft({ pid, signalCode }: ChildProcess): void {
  const left = signalCode === null ? membersOf(pid as number) : [];
  if (left.length > 0) throw new Error(`the server ended before its processes ${left.join(', ')}`);
}

function spawnServer(data: string, options: StartOptions): { child: ChildProcess; output: () => string } {
  const learner = options.args?.includes('--learner') ? [] : ['--learner', 'off'];
  const args = ['--data', data, '--package', tinyPackage, '--port', '0', '--threads', '1', ...learner];
  if (!options.args?.some((arg) => arg.includes('metrics'))) args.push('--metrics-port', '0');
  const command = [...(options.within ?? []), process.execPath, mainFile, ...args, ...(options.args ?? [])];
  const child = startProcess(command[0] ?? '', command.slice(1), {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  options.onSpawn?.(child);
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return { child, output: () => text };
}
