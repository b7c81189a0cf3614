/** Starts `hone serve` as a user does, and tells when it serves. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from '../../client/index.js';
import { processorTimeMs } from './process-memory.js';
import { projectRoot } from './project.js';

export interface BenchServer {
  /** The process that was started; the server and the learner are below it. */
  readonly pid: number;
  readonly address: string;
  /** From starting the command to the first health check that says serving. */
  readonly startupMs: number;
  /** Processor time of all processes meanwhile, where the system tells. */
  readonly startupProcessorMs: number | undefined;
  /** What its policy runs with. */
  readonly threads: number;
  readonly spin: boolean;
  /** Stops it and removes its data, unless they were given. */
  stop(): Promise<void>;
}

/**
 * @param flags of `hone serve`, further ones
 * @param given a data directory that is there already
 * @throws Error if the server ends before it serves
 */
export async function startBenchServer(
  packageDirectory: string,
  flags: readonly string[] = [],
  given?: string,
): Promise<BenchServer> {
  const data = given ?? (await mkdtemp(join(tmpdir(), 'hone-bench-data-')));
  const started = performance.now();
  const command = join(projectRoot, 'cli/hone.cjs');
  const args = [
    'serve',
    '--package',
    packageDirectory,
    '--data',
    data,
    '--port',
    '0',
    '--json',
    '--log-level',
    'error',
    ...flags,
  ];
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 2] });
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    if (given === undefined) await rm(data, { recursive: true, force: true });
  };
  try {
    const { address, threads = 1, spin = false } = await readReady(child.stdout as NodeJS.ReadableStream, exited);
    const client = await connect({ address });
    const health = await client.health();
    client.close();
    if (health !== 'serving') throw new Error(`the server announced itself, yet its health is ${health}`);
    const startupMs = performance.now() - started;
    const pid = child.pid as number;
    return { pid, address, startupMs, startupProcessorMs: processorTimeMs(pid), threads, spin, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the server says when it serves; the settings of its policy where it chose other than the defaults. */
interface Ready {
  readonly address: string;
  readonly threads?: number;
  readonly spin?: boolean;
}

async function readReady(stdout: NodeJS.ReadableStream, exited: Promise<unknown>): Promise<Ready> {
  const lines = createInterface({ input: stdout });
  const ended = exited.then(() => {
    throw new Error('the server ended before it served');
  });
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
  return JSON.parse(line) as Ready;
}
