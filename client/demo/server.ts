/** The real `hone serve`, started as a user would start it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ServerReady } from '../cli/supervisor.js';

export interface DemoServer {
  /** `host:port`. */
  readonly address: string;
  /** Ends the server gracefully. */
  close(): Promise<void>;
}

/** Starts a server on a free port; resolves when it takes calls. */
export async function startServer(options: {
  readonly data: string;
  readonly flags: readonly string[];
}): Promise<DemoServer> {
  const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));
  const args = [
    main,
    'serve',
    '--json',
    '--port',
    '0',
    '--log-level',
    'warn',
    '--data',
    options.data,
    ...options.flags,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ready = await firstLine(child);
  return {
    address: ready.address,
    close: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}

function firstLine(child: ChildProcess): Promise<ServerReady> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code} before it took calls`)));
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.once('line', (line) => resolve(JSON.parse(line) as ServerReady));
  });
}
