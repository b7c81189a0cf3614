/** Starts the real server process on a free port with a data directory of its own, and the real client to it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type ConnectOptions, connect, type HoneClient } from '../../client/index.js';
import type { ServerReady } from '../../proto/server-messages.js';

/** The folder of the project. */
export const projectFolder = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

/** A random Llama-like package of a few thousand parameters. */
export const tinyPackage = join(projectFolder, 'test/fixtures/tiny');

const mainFile = new URL('../../server/main.js', import.meta.url).pathname;

export interface TestServer extends AsyncDisposable {
  readonly ready: ServerReady;
  readonly process: ChildProcess;
  /** Everything the process wrote to standard error. */
  log(): string;
  /** A new client; closed with the server. */
  connect(options?: ConnectOptions): Promise<HoneClient>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number | null>;
}

export interface StartOptions {
  /** A temporary folder, removed with the server; default: a new one. */
  readonly data?: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** A command that becomes the server: see `file-systems.ts`. */
  readonly within?: readonly string[];
  /** Told of the process before it is ready. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

/** A new folder below the system's temporary one; the disposal of a server that uses it removes it. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'hone-test-'));
}

/** Runs the server until it ends by itself: for what it refuses at start. */
export async function runServer(options: StartOptions = {}): Promise<{ code: number | null; output: string }> {
  const data = options.data ?? temporaryFolder();
  const { child, output } = spawnServer(data, options);
  const [code] = (await once(child, 'close')) as [number | null];
  if (options.data === undefined) rmSync(data, { recursive: true, force: true });
  return { code, output: output() };
}

/** Starts a server on the tiny package, without a learner unless `args` say otherwise, and waits until it is ready. */
export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const data = options.data ?? temporaryFolder();
  const { child, output } = spawnServer(data, options);
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
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
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
    },
    stop: () => end('SIGTERM'),
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      rmSync(data, { recursive: true, force: true });
    },
  };
}

function spawnServer(data: string, options: StartOptions): { child: ChildProcess; output: () => string } {
  const learner = options.args?.includes('--learner') ? [] : ['--learner', 'off'];
  const args = ['--data', data, '--package', tinyPackage, '--port', '0', '--threads', '1', ...learner];
  if (!options.args?.some((arg) => arg.includes('metrics'))) args.push('--metrics-port', '0');
  const command = [...(options.within ?? []), process.execPath, mainFile, ...args, ...(options.args ?? [])];
  const child = spawn(command[0] ?? '', command.slice(1), {
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

/** Whether a process lives. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when `condition` holds; polls, for what lies in another process and sends no event. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
