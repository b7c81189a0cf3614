/** Starts `hone serve` as a user does, and measures the time until it serves. */

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
  /** The process of the command. The server and the learner are its descendants. */
  readonly pid: number;
  /** The process of the server itself. */
  readonly serverPid: number;
  readonly address: string;
  /** URL of the metrics for Prometheus; `null`: the server has none. */
  readonly metricsUrl: string | null;
  /** Time from the start of the command to the first health check that answers "serving". */
  readonly startupMs: number;
  /** Processor time of all processes in this time; undefined on a system without /proc. */
  readonly startupProcessorMs: number | undefined;
  /** The threads of its policy. */
  readonly threads: number;
  readonly spin: boolean;
  /** Stops the server and removes its data directory, unless the caller gave it. */
  stop(): Promise<void>;
}

/**
 * @param flags further flags of `hone serve`
 * @param given an existing data directory; without it, the server gets a temporary one
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
    const ready = await readReady(child.stdout as NodeJS.ReadableStream, exited);
    const { address, threads = 1, spin = false } = ready;
    const client = await connect({ address });
    const health = await client.health();
    client.close();
    if (health !== 'serving') throw new Error(`the server reported that it is ready, but its health is ${health}`);
    const startupMs = performance.now() - started;
    const pid = child.pid as number;
    const startupProcessorMs = processorTimeMs(pid);
    const own = { pid, serverPid: ready.pid, metricsUrl: ready.metrics };
    return { ...own, address, startupMs, startupProcessorMs, threads, spin, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads the line that the server prints when it serves, with the threads that it chose for its policy. */
interface Ready {
  readonly pid: number;
  readonly address: string;
  readonly metrics: string | null;
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
