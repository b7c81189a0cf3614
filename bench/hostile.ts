/**
 * Measures what one hostile client does to everybody else: while it sends its worst requests, or does its worst on one
 * connection, another client's calls are timed, and the server's memory is followed. Each attack meets a server of its
 * own, because memory that one attack has made the server take would hide what the next one takes.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Attack } from './hostile/attack.js';
import { startAttacker } from './hostile/attacker.js';
import { attackNamed, attacks } from './hostile/attacks.js';
import { type AttackFigures, measureAttack } from './hostile/measure.js';
import { startWatcher, type Watcher } from './hostile/watcher.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';
import { Resources } from './lib/resources.js';
import { type BenchServer, startBenchServer } from './lib/running-server.js';

/** The goals: what another client waits for a health check, and what the server's memory grows by. */
const goals = { healthP99Ms: 200, grownMiB: 64 } as const;

/** How long rounds of an attack begin. */
const fullMs = 3000;
/** For `--quick`: a round of three attacks. */
const quickMs = 1;
const quickAttacks = ['empty-messages', 'reset-3000', 'pings'];

export async function benchHostile(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  await using resources = new Resources();
  const watcher = await startWatcher();
  resources.add(() => watcher.close());
  const only = options.only ?? (options.quick ? quickAttacks : undefined);
  const chosen = only === undefined ? attacks : only.map(attackNamed);
  const figures: Record<string, Figures> = {};
  const problems: string[] = [];
  for (const model of models) {
    const ofModel: Record<string, number | null> = {};
    for (const attack of chosen) {
      const measured = await measureOne(model, attack, watcher, options.quick ? quickMs : fullMs);
      say(describe(attack.name, measured));
      Object.assign(ofModel, figuresOf(attack.name, measured));
      // A brief run on the test package shows that the bench works; it judges nothing.
      if (!options.quick) problems.push(...complaints(model.name, attack.name, measured));
    }
    figures[model.name] = ofModel;
  }
  return {
    title: 'hostile: what other clients wait, in ms, and what memory grows, in MiB, while one client does its worst',
    limits: {},
    models: figures,
    general: { attacks: chosen.length, goal_health_p99_ms: goals.healthP99Ms, goal_grown_mib: goals.grownMiB },
    shares: [],
    problems,
  };
}

async function measureOne(model: BenchModel, attack: Attack, watcher: Watcher, forMs: number): Promise<AttackFigures> {
  await using resources = new Resources();
  const attacker = startAttacker();
  resources.add(() => attacker.close());
  const server = await startVictim(model, attack, resources);
  const { address, serverPid: pid, metricsUrl } = server;
  if (!attack.withoutToken) await attacker.prepare(address);
  await watcher.connect({ address, pid, onlyHealth: attack.withoutToken === true });
  resources.add(() => watcher.disconnect());
  await answerForAWhile(watcher);
  return await measureAttack({ attacker, watcher }, { address, pid, metricsUrl }, { attack: attack.name, forMs });
}

/** Lets the server answer for a while, so that the memory of its first calls is no attack's. */
async function answerForAWhile(watcher: Watcher): Promise<void> {
  await watcher.begin(2);
  await delay(1000);
  await watcher.end();
}

async function startVictim(model: BenchModel, { withoutToken }: Attack, resources: Resources): Promise<BenchServer> {
  const flags = ['--metrics-port', '0'];
  if (withoutToken) {
    const folder = await mkdtemp(join(tmpdir(), 'hone-bench-token-'));
    resources.add(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'token'), 'a-token-that-the-attacker-does-not-know');
    flags.push('--auth-token-file', join(folder, 'token'));
  }
  const server = await startBenchServer(model.directory, flags);
  resources.add(() => server.stop());
  return server;
}

const figuresOf = (name: string, measured: AttackFigures): Record<string, number | null> => ({
  [`${name}_p99_ms`]: measured.healthP99Ms,
  [`${name}_max_ms`]: measured.healthMaxMs,
  [`${name}_work_max_ms`]: measured.workMaxMs,
  [`${name}_control_p99_ms`]: measured.controlP99Ms,
  [`${name}_grown_mib`]: measured.grownMiB,
});

function complaints(model: string, name: string, { healthP99Ms, grownMiB, failed }: AttackFigures): string[] {
  return [
    ...(healthP99Ms > goals.healthP99Ms
      ? [`${model}: during ${name}, a health check took ${Math.round(healthP99Ms)} ms (99th percentile)`]
      : []),
    ...((grownMiB ?? 0) > goals.grownMiB
      ? [`${model}: during ${name}, memory grew by ${Math.round(grownMiB ?? 0)} MiB`]
      : []),
    ...(failed > 0 ? [`${model}: during ${name}, ${failed} calls of the other client failed`] : []),
  ];
}

function describe(name: string, measured: AttackFigures): string {
  const { healthP50Ms, healthP99Ms, healthMaxMs, unaryP99Ms, controlP99Ms, workP99Ms, workMaxMs, grownMiB } = measured;
  const ms = (value: number | null): string => (value === null ? '-' : String(Math.round(value)));
  return `${name}: ${measured.rounds} rounds, health p50 ${ms(healthP50Ms)} p99 ${ms(healthP99Ms)} max ${ms(healthMaxMs)} ms, unary p99 ${ms(unaryP99Ms)}, control p99 ${ms(controlP99Ms)}, loop work p99 ${ms(workP99Ms)} max ${ms(workMaxMs)} ms, memory +${ms(grownMiB)} MiB, ends ${JSON.stringify(measured.outcomes)}${measured.failed > 0 ? `, ${measured.failed} FAILED` : ''}`;
}
