/**
 * The learner process as the server holds it: started, watched, started again with growing delays when it dies, and ended
 * with the server. Nothing that happens in the process reaches serving but its messages.
 */

import { Restarts } from '../../process/restarts.js';
import type { SetAsideRecord } from '../quarantine/set-aside.js';
import { ChangeNotice } from './change-notice.js';
import { type ChildEnd, LearnerChild } from './learner-child.js';
import type { LearnerCommand, LearnerEvent, LearnerStart, LiveVersionChange } from './messages.js';
import { StarvationWatch } from './starvation.js';
import {
  type LearnerFailure,
  type LearnerProgress,
  type LearnerState,
  type LearnerStatus,
  nothingLearned,
} from './status.js';
import { SupervisorLife } from './supervisor-life.js';

export interface LearnerOptions extends Omit<LearnerStart, 'type' | 'relearn'> {
  /** Delay before the first restart; it doubles with each that follows, up to a minute. Default 1000. */
  readonly restartAfterMs?: number;
  /** Time with something to compute over which the learner's share of the processor is a mean. Default 20 000. */
  readonly starvationWindowMs?: number;
}

/** A learner whose process has not been started: see {@link LearnerSupervisor.start}. */
export function createLearner(options: LearnerOptions): LearnerSupervisor {
  return new LearnerSupervisor(options);
}

/** Starts the learner process. Its first `ready` event tells that it waits for scores. */
export function startLearner(options: LearnerOptions): LearnerSupervisor {
  const supervisor = createLearner(options);
  supervisor.start();
  return supervisor;
}

/** The longest delay before a restart. A process that lived this long begins with the first delay again. */
const maxRestartAfterMs = 60_000;
/** Records that were set aside whose reasons are kept for explanations; the counts include all. */
const mostRemembered = 10_000;

export class LearnerSupervisor {
  readonly #options: LearnerOptions;
  readonly #listeners: ((event: LearnerEvent) => void)[] = [];
  readonly #life = new SupervisorLife();
  readonly #restarts: Restarts;
  readonly #starvation: StarvationWatch;
  readonly #notice = new ChangeNotice((sent) => this.#send({ type: 'changed' }, sent));
  /** The live version, for the next process. */
  #live: Pick<LearnerStart, 'liveVersion' | 'adapterPath' | 'adapterDigest' | 'rolledBack' | 'imported'>;
  /** Whether the next process goes on after a halt: if a person starts it, not after a crash. */
  #goOn = true;
  /** Numbers of the last command to relearn, and of the last one that a process has carried out. */
  readonly #relearn = { asked: 0, done: 0 };
  /** The last state that the process reported, or that its end has put it in. */
  #reported: LearnerState = 'starting';
  #progress = nothingLearned;
  #restarted = 0;
  #engine = '';
  #memoryBytes: number | null = null;
  #failure: LearnerFailure | null = null;
  /** Of the last process: when it was started, how many steps had been taken before, whether it has said what failed. */
  readonly #process = { atMs: 0, stepsBefore: 0, hasFailed: false };
  /** Why records are set aside, by generation. */
  readonly #setAside = new Map<string, string>();

  /** Use {@link startLearner} or {@link createLearner}. */
  constructor(options: LearnerOptions) {
    this.#options = options;
    const { liveVersion, adapterPath, adapterDigest, rolledBack = false, imported = false, restartAfterMs } = options;
    this.#live = { liveVersion, adapterPath, adapterDigest, rolledBack, imported };
    this.#restarts = new Restarts({
      firstMs: restartAfterMs ?? 1000,
      longestMs: maxRestartAfterMs,
      stableMs: maxRestartAfterMs,
    });
    const { settings, starvationWindowMs: windowMs } = options;
    this.#starvation = new StarvationWatch({
      onProcessor: settings.device === 'cpu',
      emit: (event) => this.#emit(event),
      ...(windowMs === undefined ? {} : { windowMs, lookEveryMs: windowMs / 4 }),
    });
  }

  status(): LearnerStatus {
    return {
      ...this.#progress,
      ...this.#starvation.status,
      state: this.#life.state.name === 'paused' ? 'paused' : this.#reported,
      restarts: this.#restarted,
      engine: this.#engine,
      memoryBytes: this.#memoryBytes,
      failure: this.#isSound() ? null : this.#failure,
    };
  }

  /** Why the learner has set a record aside, in words; undefined if it has not, or has not reported it yet. */
  setAsideBecause(generationId: string): string | undefined {
    return this.#setAside.get(generationId);
  }

  onEvent(listener: (event: LearnerEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Another version is live: the learner trains on from its weights. */
  live(live: LiveVersionChange): void {
    const { version: liveVersion, ...rest } = live;
    this.#live = { liveVersion, ...rest };
    this.#send({ type: 'live', ...live });
  }

  /**
   * An offered version will never serve: the learner gives up what it trained on from it. A process that is down at the
   * moment goes on from that version; the gate judges its next candidate like any other.
   */
  rejected(adapterDigest: string): void {
    this.#send({ type: 'rejected', adapterDigest });
  }

  /** A person's data was erased: the learner gives up what it trained on it. A process that starts looks for itself. */
  erased(): void {
    this.#send({ type: 'erased' });
  }

  /**
   * The learner learns from everything that the store still holds as if for the first time, now or at its next start.
   * @returns the number of the command: `relearned` events report up to which number all were carried out
   */
  relearn(): number {
    this.#relearn.asked += 1;
    this.#send({ type: 'relearn', number: this.#relearn.asked });
    return this.#relearn.asked;
  }

  /** The store has changed. */
  changed(): void {
    this.#notice.give();
  }

  /** Lets the process finish its step and write its checkpoint; resolves when it is gone. */
  pause(): Promise<void> {
    return this.#end('paused');
  }

  /** Starts the process again after {@link pause}; a halted learner goes on. */
  async resume(): Promise<void> {
    if (this.#reported === 'halted') this.#send({ type: 'go_on' });
    if (this.#life.state.name === 'pausing') await this.#life.state.child.ended;
    if (this.#life.state.name !== 'paused') return;
    this.#goOn = true;
    this.#spawn();
  }

  /** Ends the process for good; resolves when it is gone. Idempotent. */
  close(): Promise<void> {
    return this.#end('closed');
  }

  /** Ends the process for good and at once, without a last checkpoint: its files may be another learner's by now. */
  abandon(): Promise<void> {
    this.#life.child?.kill();
    return this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Starts the process for the first time, unless the learner was paused or closed before. */
  start(): void {
    if (this.#life.state.name === 'created') this.#spawn();
  }

  #spawn(): void {
    const { restartAfterMs: _, starvationWindowMs: __, ...start } = this.#options;
    const child = new LearnerChild((event) => this.#hear(event));
    this.#life.moveTo({ name: 'running', child });
    this.#report('starting');
    // Whoever waits for the end of the process waits behind this, and finds the state that follows.
    void child.ended.then((end) => this.#childEnded(end));
    this.#starvation.begin(child.pid);
    Object.assign(this.#process, { atMs: performance.now(), stepsBefore: this.#progress.steps, hasFailed: false });
    const { asked, done } = this.#relearn;
    const relearn = asked > done ? { relearn: asked } : {};
    this.#send({ type: 'start', ...start, ...this.#live, goOn: this.#goOn, ...relearn });
    this.#goOn = false;
  }

  /** Without a process the command is lost, and does no harm: the next one gets the live version and reads the store. */
  #send(command: LearnerCommand, sent: () => void = () => undefined): void {
    const { child } = this.#life;
    if (child === undefined) sent();
    else child.send(command, sent);
  }

  #hear(event: LearnerEvent): void {
    if (event.type === 'relearned') this.#relearn.done = Math.max(this.#relearn.done, event.upTo);
    if (event.type === 'engine') {
      this.#engine = `${event.report.engine} on ${event.report.device}`;
      this.#memoryBytes = event.report.memoryBytes;
      this.#starvation.opened(event.report.device);
    }
    if (event.type === 'failed') this.#fail(event);
    // It takes a few deaths to find the record at fault, and nothing is gained by waiting between them.
    if (event.type === 'investigating') this.#restarts.succeeded();
    if (event.type === 'set_aside') this.#remember(event.records);
    this.#emit(event.type === 'progress' ? { type: 'progress', progress: this.#follow(event.progress) } : event);
  }

  /** Keeps the figures of the process, and adds the share of the processor that it gets. */
  #follow(progress: LearnerProgress): LearnerProgress {
    const { state, processorMs: _, ...figures } = progress;
    this.#reported = state;
    this.#progress = figures;
    this.#starvation.reported(progress);
    const { processorShare } = this.#starvation.status;
    const share = processorShare === undefined ? {} : { processorShare };
    return { ...figures, state, ...share };
  }

  #childEnded({ reason, stderr, livedMs }: ChildEnd): void {
    this.#engine = '';
    this.#starvation.end();
    if (this.#life.state.name !== 'running') {
      this.#life.moveTo({ name: this.#life.state.name === 'pausing' ? 'paused' : 'closed' });
      this.#report('off');
      return;
    }
    const delayMs = this.#restarts.delayAfter(livedMs);
    const last = stderr.split('\n').at(-1) ?? '';
    const ended = `the learner's process ended (${reason})${last === '' ? '' : `: ${last}`}`;
    // What the process itself has said is more to the point than its exit code.
    if (!this.#process.hasFailed) this.#fail({ code: 'WORKER_CRASHED', message: ended });
    const timer = setTimeout(() => {
      this.#restarted += 1;
      this.#spawn();
    }, delayMs);
    this.#life.moveTo({ name: 'restarting', timer });
    this.#report('crashed');
    const detail = stderr === '' ? '' : `: ${stderr}`;
    this.#emit({
      type: 'failed',
      code: 'WORKER_CRASHED',
      message: `the learner ended (${reason}) and starts again in ${delayMs} ms${detail}`,
    });
  }

  async #end(as: 'paused' | 'closed'): Promise<void> {
    const { state } = this.#life;
    switch (state.name) {
      case 'created':
      case 'restarting':
      case 'paused':
        if (state.name === as) return;
        if (state.name === 'restarting') clearTimeout(state.timer);
        this.#life.moveTo({ name: as });
        this.#report('off');
        return;
      case 'running':
        this.#life.moveTo({ name: as === 'paused' ? 'pausing' : 'closing', child: state.child });
        return state.child.stop();
      case 'pausing':
        if (as === 'closed') this.#life.moveTo({ name: 'closing', child: state.child });
        await state.child.ended;
        return;
      case 'closing':
        await state.child.ended;
        return;
      case 'closed':
        return;
    }
  }

  /** Whether the process works: it has taken a step, or lived for a while. */
  #isSound(): boolean {
    if (this.#life.state.name !== 'running') return false;
    const { atMs, stepsBefore } = this.#process;
    return this.#progress.steps > stepsBefore || performance.now() - atMs >= maxRestartAfterMs;
  }

  #fail({ code, message }: LearnerFailure): void {
    this.#failure = { code, message };
    this.#process.hasFailed = true;
  }

  #remember(records: readonly SetAsideRecord[]): void {
    for (const { generationId, reason } of records) {
      this.#setAside.delete(generationId);
      this.#setAside.set(generationId, reason);
    }
    for (const oldest of this.#setAside.keys()) {
      if (this.#setAside.size <= mostRemembered) break;
      this.#setAside.delete(oldest);
    }
  }

  #report(state: LearnerState): void {
    if (this.#reported === state) return;
    this.#reported = state;
    this.#emit({ type: 'progress', progress: { ...this.#progress, state } });
  }

  #emit(event: LearnerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
