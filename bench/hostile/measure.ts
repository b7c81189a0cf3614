/** Measures what an attack does to another client of the server, and to the memory of the server. */

import { percentile } from '../lib/statistics.js';
import type { Attacker } from './attacker.js';
import type { CustomAttack } from './custom-attack.js';
import type { Outcomes } from './grpc-connection.js';
import { watchMemory } from './server-memory.js';
import type { Sample, Watcher } from './watcher.js';

export interface Victim {
  readonly address: string;
  /** Process id of the server. */
  readonly pid: number;
  readonly metricsUrl: string | null;
}

export interface AttackFigures {
  readonly rounds: number;
  readonly outcomes: Outcomes;
  /** Milliseconds until a health check of another client was answered. */
  readonly healthP50Ms: number;
  readonly healthP99Ms: number;
  readonly healthMaxMs: number;
  /** The same for a small call of Hone; null if none was made. */
  readonly unaryP99Ms: number | null;
  /** The same for a server that nobody attacks. */
  readonly controlP99Ms: number;
  /** Processor time of the event loop while a health check waited; null on a system without /proc. */
  readonly workP99Ms: number | null;
  readonly workMaxMs: number | null;
  /** Calls of the other client that failed. */
  readonly failed: number;
  /** Growth of the server's resident memory beyond the keys and values that it accounts for. */
  readonly grownMiB: number | null;
}

export interface MeasureOptions {
  readonly attack: string | CustomAttack;
  readonly forMs: number;
  /** Time between two calls of the other client. Default 20. */
  readonly everyMs?: number;
}

/** Attacks once. The watcher must be connected to the victim. */
export async function measureAttack(
  { attacker, watcher }: { readonly attacker: Attacker; readonly watcher: Watcher },
  victim: Victim,
  { attack, forMs, everyMs = 20 }: MeasureOptions,
): Promise<AttackFigures> {
  const memory = watchMemory(victim.pid, victim.metricsUrl);
  await watcher.begin(everyMs);
  const { address, metricsUrl } = victim;
  const { rounds, outcomes } = await attacker.attack({ attack, address, metricsUrl, forMs });
  const samples = await watcher.end();
  const { grownBytes, accountedBytes } = memory.end();
  return {
    rounds,
    outcomes,
    ...waits(samples),
    failed: samples.filter(({ failed }) => failed !== null).length,
    grownMiB: grownBytes === null ? null : Math.max(0, grownBytes - accountedBytes) / 1024 / 1024,
  };
}

function waits(samples: readonly Sample[]) {
  const of = (kind: Sample['of']): number[] => samples.filter((one) => one.of === kind).map(({ ms }) => ms);
  const [health, unary, control] = [of('health'), of('unary'), of('control')];
  const work = samples.flatMap(({ of: kind, workMs }) => (kind === 'health' && workMs !== null ? [workMs] : []));
  const p99 = (values: readonly number[]): number | null => (values.length === 0 ? null : percentile(values, 0.99));
  return {
    healthP50Ms: health.length === 0 ? 0 : percentile(health, 0.5),
    healthP99Ms: p99(health) ?? 0,
    healthMaxMs: Math.max(0, ...health),
    unaryP99Ms: p99(unary),
    controlP99Ms: p99(control) ?? 0,
    workP99Ms: p99(work),
    workMaxMs: work.length === 0 ? null : Math.max(...work),
  };
}
