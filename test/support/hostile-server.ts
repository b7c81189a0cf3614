/**
 * A real server under attack, with the process of the attacker and that of another client, as `bench/hostile` has them.
 *
 * A test judges the work that stood before the other client's calls: the processor time that the thread of the server's
 * event loop used while a call waited. Other programs on the machine add nothing to it. They make the same work take
 * more processor time, so the bound is twice the goal of the bench, and an attack counts as too bad only if it is in
 * every one of several tries.
 */

import { expect } from 'vitest';
import { type Attacker, startAttacker } from '../../bench/hostile/attacker.js';
import type { CustomAttack } from '../../bench/hostile/custom-attack.js';
import { type AttackFigures, measureAttack } from '../../bench/hostile/measure.js';
import { startWatcher, type Watcher } from '../../bench/hostile/watcher.js';
import { type StartOptions, startServer, type TestServer } from './server.js';

/** Twice the goal of the bench. */
const mostWorkMs = 400;
/** Four times the goal of the bench: heaps grow in steps, and garbage is collected later on a busy machine. */
const mostGrowthMiB = 256;
const tries = 4;

export class HostileServer implements AsyncDisposable {
  readonly server: TestServer;
  readonly #attacker: Attacker;
  readonly #watcher: Watcher;

  static async start(options: StartOptions & { readonly withToken?: boolean } = {}): Promise<HostileServer> {
    const { withToken = false, ...rest } = options;
    const env = withToken ? { HONE_AUTH_TOKEN: 'a-token-that-the-attacker-does-not-know' } : {};
    const server = await startServer({ ...rest, env });
    const attacker = startAttacker();
    const watcher = await startWatcher();
    const { address, pid } = server.ready;
    if (!withToken) await attacker.prepare(address);
    await watcher.connect({ address, pid, onlyHealth: withToken });
    return new HostileServer(server, attacker, watcher);
  }

  private constructor(server: TestServer, attacker: Attacker, watcher: Watcher) {
    this.server = server;
    this.#attacker = attacker;
    this.#watcher = watcher;
  }

  /** Attacks once. */
  measure(attack: string | CustomAttack): Promise<AttackFigures> {
    const { address, pid, metrics } = this.server.ready;
    const parts = { attacker: this.#attacker, watcher: this.#watcher };
    return measureAttack(parts, { address, pid, metricsUrl: metrics }, { attack, forMs: 1 });
  }

  /** Attacks, and fails if the attack stops others every time. @param what describes the attack */
  async expectHarmless(attack: string | CustomAttack, what: string): Promise<void> {
    let figures: AttackFigures | undefined;
    for (let i = 0; i < tries; i++) {
      figures = await this.measure(attack);
      expect(figures.failed, `calls of another client that failed during ${what}`).toBe(0);
      expect(this.server.process.exitCode).toBeNull();
      if ((figures.workMaxMs ?? 0) <= mostWorkMs && (figures.grownMiB ?? 0) <= mostGrowthMiB) return;
    }
    throw new Error(`${what} stops others: ${JSON.stringify(figures)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watcher.close();
    await this.#attacker.close();
    await this.server[Symbol.asyncDispose]();
  }
}
