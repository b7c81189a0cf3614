/**
 * The learner process as the server holds it: started, watched, started again with growing delays when it dies, and
 * ended with the server. Nothing that happens in the child reaches serving but its messages.
 */

import { type ChildProcess, fork } from 'node:child_process';
import type { LearnerCommand, LearnerEvent, LearnerStart, LiveVersionChange } from './messages.js';
import type { LearnerState } from './status.js';
import { type LearnerStatus, nothingLearned } from './status.js';

export interface LearnerOptions extends Omit<LearnerStart, 'type'> {
  /** Heap of the process; past it the process ends and is started again. Default 1024. */
  readonly maxHeapMb?: number;
  /** Delay before the first restart; it doubles with each that follows. Default 1000. */
  readonly restartAfterMs?: number;
  /** Longest delay; a learner that lived so long begins at the first delay again. Default 60 000. */
  readonly maxRestartAfterMs?: number;
  /** How long stopping waits for the step in flight before the process is killed. Default 10 000. */
  readonly stopGraceMs?: number;
}

/** A learner whose process has not been started: see {@link LearnerSupervisor.start}. */
export function createLearner(options: LearnerOptions): LearnerSupervisor {
  return new LearnerSupervisor(options);
}

/** Starts the learner process. Its first `ready` event says that it waits for scores. */
export function startLearner(options: LearnerOptions): LearnerSupervisor {
  const supervisor = createLearner(options);
  supervisor.start();
  return supervisor;
}

const stderrKept = 2000;

export class LearnerSupervisor {
  readonly #options: LearnerOptions;
  readonly #listeners: ((event: LearnerEvent) => void)[] = [];
  #head: Pick<LearnerStart, 'liveVersion' | 'adapterPath' | 'adapterDigest' | 'rolledBack' | 'imported'>;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #state: LearnerState = 'starting';
  #wanted: 'running' | 'paused' | 'closed' = 'running';
  #progress = nothingLearned;
  #restarts = 0;
  #engine = '';
  #changed: 'told' | 'telling' | 'again' = 'told';
  #failuresInARow = 0;
  /** Whether the next process shall learn everything anew. */
  #relearn = false;
  /** Whether the next process goes on where the one before had stopped itself: a person starts it, not a crash. */
  #goOn = true;

  /** Use {@link startLearner} or {@link createLearner}. */
  constructor(options: LearnerOptions) {
    this.#options = options;
    const { liveVersion, adapterPath, adapterDigest, rolledBack = false, imported = false } = options;
    this.#head = { liveVersion, adapterPath, adapterDigest, rolledBack, imported };
  }

  /** Process id while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  status(): LearnerStatus {
    const paused = this.#wanted === 'paused' && this.#state === 'off';
    return {
      ...this.#progress,
      state: paused ? 'paused' : this.#state,
      restarts: this.#restarts,
      engine: this.#engine,
    };
  }

  onEvent(listener: (event: LearnerEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** The head moved: train on from these weights. `adapterPath` null is the zero adapter. */
  live(head: LiveVersionChange): void {
    const { version: liveVersion, ...rest } = head;
    this.#head = { liveVersion, ...rest };
    this.#send({ type: 'live', ...head });
  }

  /**
   * A version that was offered will never serve: what was trained on from it is given up for the live weights. A process
   * that is down just then goes on from them; its next candidate is judged like any other.
   */
  rejected(adapterDigest: string): void {
    this.#send({ type: 'rejected', adapterDigest });
  }

  /** Somebody's data was erased: what was trained on it is given up for the live weights. One that starts looks for itself. */
  erased(): void {
    this.#send({ type: 'erased' });
  }

  /** Learn from everything that the store still holds as if for the first time; also where the process is down now. */
  relearn(): void {
    this.#relearn = !this.#child?.connected;
    this.#send({ type: 'relearn' });
  }

  /** The store has changed: look again. While one such message is on its way, further ones become a single next one. */
  changed(): void {
    this.#changed = this.#changed === 'told' ? 'telling' : 'again';
    if (this.#changed === 'telling') this.#tellOfChange();
  }

  #tellOfChange(): void {
    this.#send({ type: 'changed' }, () => {
      const again = this.#changed === 'again';
      this.#changed = again ? 'telling' : 'told';
      if (again) this.#tellOfChange();
    });
  }

  /** Finishes the step in flight, writes the checkpoint and ends the process. */
  async pause(): Promise<void> {
    if (this.#wanted === 'running') this.#wanted = 'paused';
    await this.#stop();
  }

  /** Starts the process again after {@link pause}; one that has stopped itself goes on. */
  async resume(): Promise<void> {
    if (this.#state === 'halted') this.#send({ type: 'go_on' });
    if (this.#wanted !== 'paused') return;
    // Wanted again only once it is gone: its end would be taken for a crash, and a second process started.
    await this.#exited;
    if (this.#wanted !== 'paused') return;
    this.#wanted = 'running';
    this.#goOn = true;
    this.#spawn();
  }

  /** Ends the process for good; resolves when it is gone. Idempotent. */
  async close(): Promise<void> {
    this.#wanted = 'closed';
    await this.#stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Starts the process for the first time, unless it was paused, resumed or closed before. */
  start(): void {
    if (this.#wanted === 'running' && this.#child === undefined) this.#spawn();
  }

  #spawn(): void {
    const {
      maxHeapMb = 1024,
      packageDirectory,
      packageDigest,
      replayPath,
      directory,
      settings,
      reward,
      checkpointEveryMs,
      reportEveryMs,
    } = this.#options;
    // Not detached: a session of its own would have a scheduling group of its own, where nice no longer protects us.
    const child = fork(new URL('./learner-process.js', import.meta.url), {
      execArgv: [`--max-old-space-size=${maxHeapMb}`],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#setState('starting');
    const startedAtMs = performance.now();
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-stderrKept);
    });
    child.on('message', (event: LearnerEvent) => this.#hear(event));
    this.#exited = new Promise((resolve) => {
      const ended = (reason: string): void => {
        if (this.#child !== child) return;
        this.#child = undefined;
        this.#ended(reason, stderr.trim(), performance.now() - startedAtMs);
        resolve();
      };
      // One that could not be started has no end to wait for; whatever else goes wrong with it is its end.
      child.once('error', (error) => {
        if (child.pid === undefined) ended(error.message);
        else child.kill('SIGKILL');
      });
      child.once('close', (code, signal) => ended(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
    this.#send({
      type: 'start',
      packageDirectory,
      packageDigest,
      replayPath,
      directory,
      settings,
      ...(reward === undefined ? {} : { reward }),
      ...(checkpointEveryMs === undefined ? {} : { checkpointEveryMs }),
      ...(reportEveryMs === undefined ? {} : { reportEveryMs }),
      goOn: this.#goOn,
      relearn: this.#relearn,
      ...this.#head,
    });
    this.#relearn = false;
    this.#goOn = false;
  }

  /** @param sent called when the message has left, or is lost with a process that is dying or gone */
  #send(command: LearnerCommand, sent: () => void = () => undefined): void {
    // What is lost does no harm: the next process starts from the head and reads the store anew.
    if (this.#child?.connected) this.#child.send(command, sent);
    else sent();
  }

  #hear(event: LearnerEvent): void {
    if (event.type === 'engine') this.#engine = `${event.report.engine} on ${event.report.device}`;
    if (event.type === 'progress') {
      const { state, ...figures } = event.progress;
      this.#state = state;
      this.#progress = figures;
    }
    this.#emit(event);
  }

  #ended(reason: string, stderr: string, livedMs: number): void {
    this.#engine = '';
    if (this.#wanted !== 'running') {
      this.#setState('off');
      return;
    }
    const { restartAfterMs = 1000, maxRestartAfterMs = 60_000 } = this.#options;
    this.#failuresInARow = livedMs >= maxRestartAfterMs ? 1 : this.#failuresInARow + 1;
    const delayMs = Math.min(maxRestartAfterMs, restartAfterMs * 2 ** (this.#failuresInARow - 1));
    this.#setState('crashed');
    const detail = stderr === '' ? '' : `: ${stderr}`;
    this.#emit({
      type: 'failed',
      code: 'WORKER_CRASHED',
      message: `the learner ended (${reason}) and starts again in ${delayMs} ms${detail}`,
    });
    this.#timer = setTimeout(() => {
      this.#restarts += 1;
      this.#spawn();
    }, delayMs);
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) {
      this.#setState('off');
      return;
    }
    this.#send({ type: 'stop' });
    const killing = setTimeout(() => child.kill('SIGKILL'), this.#options.stopGraceMs ?? 10_000);
    await this.#exited;
    clearTimeout(killing);
  }

  #setState(state: LearnerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#emit({ type: 'progress', progress: { ...this.#progress, state } });
  }

  #emit(event: LearnerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
