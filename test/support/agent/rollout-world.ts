/**
 * A rollout on a version log, a policy and a learner in memory, for tests that run it through many orders.
 *
 * The log is the real history of versions without its file, so states follow each other as they do on disk. Steps can be
 * made to fail once, and the process can be killed after any write: what was written stays, nothing else does.
 */

import { EventLog } from '../../../src/agent/events/event-log.js';
import type { LoopEvent } from '../../../src/agent/events/types.js';
import type { Learner } from '../../../src/agent/learner.js';
import { checkCanarySettings } from '../../../src/agent/rollout/canary-settings.js';
import { LiveVersion } from '../../../src/agent/rollout/live-version.js';
import type { Mode, ModeKeeper } from '../../../src/agent/rollout/modes.js';
import { Rollout, type RolloutOptions } from '../../../src/agent/rollout/rollout.js';
import type { SavedTrial } from '../../../src/agent/rollout/trial-file.js';
import { HoneError } from '../../../src/errors.js';
import type { Verdict } from '../../../src/gate/types.js';
import type { Policy, PolicyVersion, SwapReport } from '../../../src/policy/index.js';
import { type LogEntry, VersionHistory } from '../../../src/versions/history.js';
import type { Adapter, Candidate, Version, VersionLog } from '../../../src/versions/index.js';

/** What can fail once. */
export const faults = ['adopt', 'log', 'adapter', 'lessons', 'swap', 'hold', 'mode'] as const;
export type Fault = (typeof faults)[number];

const settings = checkCanarySettings({ share: 0.5, alpha: 0.5, margin: 0.5, minimum: 1, maxDurationMs: 1000 });

/** A new promise each time: reactions to one promise that never settles would keep every world in memory. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** A judgement that waits for its verdict. */
interface Judgement {
  readonly version: number;
  readonly pass: (verdict: Verdict) => void;
  readonly fail: (error: HoneError) => void;
}

/** What outlives a kill. */
interface Disk {
  history: VersionHistory;
  mode: Mode;
  trial: SavedTrial | null;
  /** Versions of which it is stored what they learned from. */
  readonly lessons: Set<number>;
}

/** One run of the server's process. */
class Run {
  readonly disk: Disk;
  readonly armed = new Set<Fault>();
  /** Writes until the process is killed. */
  writesLeft = Number.POSITIVE_INFINITY;
  isDead = false;
  /** Resolves when the process was killed. */
  readonly died: Promise<void>;
  #die: () => void = () => undefined;

  constructor(disk: Disk) {
    this.disk = disk;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  /** Throws if this step was made to fail. Never resolves in a process that was killed. */
  async step(fault: Fault, code: 'STORE_FULL' | 'ADAPTER_INVALID' | 'WORKER_CRASHED'): Promise<void> {
    if (this.isDead) return never();
    if (this.armed.delete(fault)) throw new HoneError(code, `the step "${fault}" was made to fail`);
  }

  async write(change: () => void): Promise<void> {
    await this.step('log', 'STORE_FULL');
    change();
    this.writesLeft -= 1;
    if (this.writesLeft > 0) return;
    this.isDead = true;
    this.#die();
    return never();
  }
}

/** The methods of the version log that a rollout calls. */
class MemoryVersionLog {
  readonly #run: Run;
  onRead: (number: number) => void = () => undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  list(): readonly Version[] {
    return this.#run.disk.history.versions;
  }
  live(): Version {
    return this.#run.disk.history.live as Version;
  }
  get(number: number): Version | undefined {
    return this.list()[number];
  }
  adapterPath(): null {
    return null;
  }
  async readAdapter(number: number): Promise<Adapter> {
    this.onRead(number);
    await this.#run.step('adapter', 'ADAPTER_INVALID');
    return { rank: 1, scale: 1, tensors: new Map() };
  }
  async adopt({ adapterDigest, parent, metrics }: Candidate): Promise<Version> {
    await this.#run.step('adopt', 'ADAPTER_INVALID');
    return this.#add({ origin: 'learned', adapterDigest, parent, metrics });
  }
  async import(): Promise<Version> {
    const adapterDigest = `imported as ${this.list().length}`;
    return this.#add({ origin: 'imported', adapterDigest, parent: null, metrics: {} });
  }
  async rollback(number: number): Promise<Version> {
    const target = this.#run.disk.history.get(number);
    if (target.state !== 'retired') {
      throw new HoneError('VERSION_NOT_SERVABLE', `version ${number} is ${target.state}`);
    }
    const { adapterDigest } = target;
    return this.#add({ origin: 'rollback', adapterDigest, parent: number, metrics: {} });
  }
  promote(number: number): Promise<Version> {
    return this.#apply({ type: 'promoted', number });
  }
  judge(number: number, verdict: Version['verdict']): Promise<Version> {
    return this.#apply({ type: 'judged', number, verdict });
  }
  startTrial(number: number, state: 'shadow' | 'canary'): Promise<Version> {
    return this.#apply({ type: 'trial', number, state });
  }
  async removeWeights(): Promise<readonly number[]> {
    return [];
  }
  setAside(number: number): Promise<Version> {
    return this.#apply({ type: 'set_aside', number });
  }
  reject(number: number, reason: string): Promise<Version> {
    return this.#apply({ type: 'rejected', number, reason });
  }

  async #apply(entry: Exclude<LogEntry, { readonly type: 'version' | 'lost' }>): Promise<Version> {
    const { disk } = this.#run;
    await this.#run.write(() => {
      disk.history = disk.history.apply(entry);
    });
    return disk.history.get(entry.number);
  }

  async #add(fields: Pick<Version, 'origin' | 'adapterDigest' | 'parent' | 'metrics'>): Promise<Version> {
    const { disk } = this.#run;
    const version = newVersion(disk.history.nextNumber, fields);
    await this.#run.write(() => {
      disk.history = disk.history.apply({ type: 'version', version });
    });
    return version;
  }
}

function newVersion(number: number, fields: Pick<Version, 'origin' | 'adapterDigest' | 'parent' | 'metrics'>): Version {
  const state = fields.origin === 'base' ? 'live' : 'candidate';
  const common = { lineage: 'l', packageDigest: 'p', createdAtMs: 0, verdict: [], rejectedBecause: null } as const;
  return { ...common, ...fields, number, state, weights: 'kept' };
}

/** Remembers what it serves and holds. */
class MemoryPolicy {
  readonly #run: Run;
  live: number;
  readonly held: number[] = [];

  constructor(run: Run, live: number) {
    this.#run = run;
    this.live = live;
  }

  async swap({ number, adapterDigest }: PolicyVersion): Promise<SwapReport> {
    await this.#run.step('swap', 'WORKER_CRASHED');
    this.live = number;
    return report(number, adapterDigest);
  }
  async hold({ number, adapterDigest }: PolicyVersion): Promise<SwapReport> {
    await this.#run.step('hold', 'WORKER_CRASHED');
    this.held.push(number);
    return report(number, adapterDigest);
  }
  async release(number: number): Promise<void> {
    this.held.splice(this.held.indexOf(number), this.held.includes(number) ? 1 : 0);
  }
}

function report(version: number, adapterDigest: string): SwapReport {
  const probe = { verdict: 'proved', toNew: 0, toPrevious: 1 } as const;
  return { version, adapterDigest, probe, durationMs: 1, waitedMs: 0 };
}

export class RolloutWorld {
  readonly #disk: Disk;
  readonly events: LoopEvent[] = [];
  /** What the rules of the way forbid and happened all the same. */
  readonly violations: string[] = [];
  #run!: Run;
  #policy!: MemoryPolicy;
  #judgements: Judgement[] = [];
  #rewards = new Map<string, number>();
  #offers = 0;
  #nowMs = 0;
  rollout!: Rollout;
  liveVersion!: LiveVersion;

  constructor() {
    const base = newVersion(0, { origin: 'base', adapterDigest: 'zero', parent: null, metrics: {} });
    const history = new VersionHistory().apply({ type: 'version', version: base });
    this.#disk = { history, mode: 'auto', trial: null, lessons: new Set() };
    this.start();
  }

  get versions(): readonly Version[] {
    return this.#disk.history.versions;
  }
  get isKilled(): boolean {
    return this.#run.isDead;
  }
  get served(): number {
    return this.#policy.live;
  }
  get held(): readonly number[] {
    return this.#policy.held;
  }

  /** Makes a step fail the next time that it is taken. */
  failOnce(fault: Fault): void {
    this.#run.armed.add(fault);
  }

  /** Kills the process after so many further writes to the log. */
  killAfter(writes: number): void {
    this.#run.writesLeft = writes;
  }

  /** Starts a process on what the last one left. */
  start(mode = this.#disk.mode): void {
    this.#disk.mode = mode;
    const run = new Run(this.#disk);
    const log = new MemoryVersionLog(run);
    const policy = new MemoryPolicy(run, log.live().number);
    const judgements: Judgement[] = [];
    this.#run = run;
    this.#policy = policy;
    this.#judgements = judgements;
    const journal = {
      restored: [],
      lastSequence: 0,
      append: (event: LoopEvent) => void this.events.push(event),
      close: () => undefined,
    };
    const events = new EventLog({ now: () => this.#nowMs, journal });
    const parts = {
      policy: policy as unknown as Policy,
      versions: log as unknown as VersionLog,
      learner: { live: () => undefined, rejected: () => undefined } as unknown as Learner,
      events,
    };
    this.liveVersion = new LiveVersion(parts);
    this.rollout = new Rollout({
      ...parts,
      ...this.#options(run, judgements),
      liveVersion: this.liveVersion,
    });
    this.#watchJudging(log, this.rollout);
  }

  /** Stops the process, or finds it killed. */
  async stop(): Promise<void> {
    const closed = this.rollout.close().then(() => this.liveVersion.close());
    await Promise.race([closed, this.#run.died]);
  }

  passTime(ms: number): void {
    this.#nowMs += ms;
  }

  offer(parent: number): Promise<void> {
    const adapterDigest = `offer ${this.#offers++}`;
    const directory = `/nowhere/${adapterDigest}`;
    return this.rollout.consider({ type: 'candidate', directory, adapterDigest, parent, metrics: {}, lessons: [] });
  }

  import(): Promise<Version> {
    return this.rollout.import({} as never);
  }

  /** Gives the judgement in progress its verdict, if there is one. */
  judge(outcome: 'passed' | 'failed' | 'error'): void {
    const judgement = this.#judgements.shift();
    if (outcome === 'error') judgement?.fail(new HoneError('WORKER_CRASHED', 'the gate died'));
    else {
      const checks = [{ check: 'kl', outcome, detail: 'measured', numbers: {} }] as const;
      judgement?.pass({ passed: outcome === 'passed', checks });
    }
  }

  /** Answers requests on both sides of a canary, if one runs, and scores them until the canary decides. */
  decideCanary(candidate: 'better' | 'worse'): void {
    const { trials } = this.rollout;
    const ids: string[] = [];
    for (let n = 0; n < 40; n++) {
      const route = trials.route('');
      if (route === null) return;
      const id = `generation ${this.#rewards.size}`;
      this.#rewards.set(id, (route.arm === 'candidate') === (candidate === 'better') ? 1 : 0);
      route.admitted([id]);
      ids.push(id);
    }
    trials.recorded(ids);
    trials.scored(ids);
  }

  /** Resolves when nothing goes on by itself any more. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 12; turn++) await new Promise(setImmediate);
  }

  #options(
    run: Run,
    judgements: Judgement[],
  ): Omit<RolloutOptions, 'policy' | 'versions' | 'learner' | 'events' | 'liveVersion'> {
    const disk = this.#disk;
    let draws = 0;
    const modes: ModeKeeper = {
      get mode() {
        return disk.mode;
      },
      async set(mode) {
        await run.step('mode', 'STORE_FULL');
        disk.mode = mode;
      },
    };
    return {
      modes,
      judge: ({ version }, signal) =>
        new Promise((pass, fail) => {
          if (judgements.length > 0) this.violations.push(`version ${version.number} is judged beside another one`);
          judgements.push({ version: version.number, pass, fail });
          signal.addEventListener('abort', () => fail(signal.reason));
        }),
      recordLessons: async (number) => {
        await run.step('lessons', 'STORE_FULL');
        disk.lessons.add(number);
        return null;
      },
      hasLessons: async (number) => disk.lessons.has(number),
      settings,
      store: {
        read: async () => disk.trial,
        write: async (trial) => {
          if (!run.isDead) disk.trial = trial;
        },
      },
      readRewards: async (generations) =>
        generations.map(({ id }) => ({ id, reward: this.#rewards.get(id) ?? null, pendingUntilMs: null })),
      defaults: false,
      answer: async () => undefined,
      now: () => this.#nowMs,
      draw: () => (draws++ % 2) * 0.9,
    };
  }

  /** Judging a candidate begins with reading its adapter: no canary may run then. */
  #watchJudging(log: MemoryVersionLog, rollout: Rollout): void {
    const begun = new Set<number>();
    log.onRead = (number) => {
      const { judging, trial } = rollout.status();
      if (judging !== number || begun.has(number)) return;
      begun.add(number);
      if (trial?.state === 'canary') this.violations.push(`judging version ${number} begins while a canary runs`);
    };
  }
}
