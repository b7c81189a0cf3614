/**
 * The policy with its inference in the test's own thread. The test decides when each turn runs, so that the order of
 * events does not depend on the operating system. Everything else is the same as in serving.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { HoneError } from '../../../src/errors.js';
import { openPolicy, type Policy, type PolicyOptions, type PolicyStatus } from '../../../src/policy/index.js';
import { type Inference, openInference } from '../../../src/policy/inference.js';
import type { FromWorker, ToWorker, WorkerSettings } from '../../../src/policy/messages.js';
import { type InferenceThread, WorkerHandle } from '../../../src/policy/worker-handle.js';

type Listener = (value: never) => void;

/** Replaces the worker thread. Messages are copied, as between threads, but arrive at once. */
class SteppedThread implements InferenceThread {
  readonly #listeners: { readonly event: string; readonly listener: Listener }[] = [];
  #inference: Inference | undefined;

  on(event: string, listener: Listener): void {
    this.#listeners.push({ event, listener });
  }

  postMessage(message: ToWorker): void {
    if (message.type === 'open') {
      void this.#open(structuredClone(message.settings));
      return;
    }
    this.inference.receive(structuredClone(message));
    // A closing policy waits for its running requests, so the remaining turns run without the test.
    if (message.type === 'close') void this.#runToTheEnd();
  }

  get inference(): Inference {
    if (this.#inference === undefined) throw new Error('the inference is not open');
    return this.#inference;
  }

  async #open(settings: WorkerSettings): Promise<void> {
    try {
      this.#inference = await openInference(settings, (message) => this.#send(message));
      this.#send({ type: 'ready' });
    } catch (thrown) {
      this.#send({ type: 'crashed', error: HoneError.from(thrown).toJSON() });
      this.#emit('exit', 1);
    }
  }

  async #runToTheEnd(): Promise<void> {
    await this.inference.run();
    await this.inference.close();
    this.#emit('exit', 0);
  }

  #send(message: FromWorker): void {
    this.#emit('message', structuredClone(message));
  }

  #emit(event: string, value: unknown): void {
    for (const one of this.#listeners) if (one.event === event) one.listener(value as never);
  }
}

/** Runs the turns of a policy. */
export class Steps {
  readonly #policy: Policy;
  readonly #inference: Inference;
  #last = Promise.resolve(true);

  constructor(policy: Policy, inference: Inference) {
    this.#policy = policy;
    this.#inference = inference;
  }

  /** Runs one turn and lets readers take its results. @returns whether anything happened */
  turn(): Promise<boolean> {
    // Turns run one after the other, even if several callers ask for them.
    this.#last = this.#last.then(async () => {
      const happened = await this.#inference.turn();
      await nextTurn();
      return happened;
    });
    return this.#last;
  }

  /** Runs turns until the condition holds. */
  async until(condition: (status: PolicyStatus) => boolean): Promise<PolicyStatus> {
    for (;;) {
      const status = await this.#policy.status();
      if (condition(status)) return status;
      if (!(await this.turn()))
        throw new Error(`nothing happens any more, and this condition never held: ${condition}`);
    }
  }

  /** Runs turns until the promise settles, and returns its result. */
  async settle<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    await nextTurn();
    while (!settled) await this.turn();
    return promise;
  }
}

/** Opens a policy that runs turn by turn. It is closed when the test has finished. */
export async function openStepped(options: PolicyOptions): Promise<{ policy: Policy; steps: Steps }> {
  const thread = new SteppedThread();
  const policy = await openPolicy({ ...options, worker: new WorkerHandle(thread) });
  onTestFinished(() => policy.close());
  return { policy, steps: new Steps(policy, thread.inference) };
}
