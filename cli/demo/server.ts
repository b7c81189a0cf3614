/** Starts the real server with its supervisor, as `hone serve` does. */

import { fileURLToPath } from 'node:url';
import type { ServerReady } from '../../server/parent-process.js';
import { remark } from '../output.js';
import { Supervisor } from '../supervisor.js';

interface DemoServer {
  /** `host:port`. */
  readonly address: string;
  /** Stops the server. Running requests finish first. */
  close(): Promise<void>;
}

/** Starts a server on a free port and resolves when it takes calls. The server ends when this process ends. */
export async function startServer(options: {
  readonly data: string;
  readonly flags: readonly string[];
}): Promise<DemoServer> {
  let supervisor: Supervisor | undefined;
  let running: Promise<number> | undefined;
  const ready = await new Promise<ServerReady>((resolve, reject) => {
    supervisor = new Supervisor({
      file: fileURLToPath(new URL('../../server/main.js', import.meta.url)),
      args: ['--port', '0', '--log-level', 'error', '--data', options.data, ...options.flags],
      env: process.env,
      onReady: resolve,
      onRestart: (reason) => remark(`The server ${reason}; starting it again.`),
    });
    running = supervisor.run();
    running.then((code) => reject(new Error(`the server ended with code ${code} before it took calls`)), reject);
  });
  return {
    address: ready.address,
    close: async () => {
      supervisor?.stop();
      await running;
    },
  };
}
