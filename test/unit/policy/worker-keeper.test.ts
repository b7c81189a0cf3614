/** The keeper restarts a crashed worker, with scripted threads in the place of real ones. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { HoneError } from '../../../src/errors.js';
import type { FromWorker, ToWorker, WorkerSettings } from '../../../src/policy/messages.js';
import { newStepMessage } from '../../../src/policy/messages.js';
import { type InferenceThread, WorkerHandle } from '../../../src/policy/worker-handle.js';
import { WorkerKeeper } from '../../../src/policy/worker-keeper.js';

type Listener = (value: never) => void;

/** A thread that serves when it is opened, or dies. */
class ScriptedThread implements InferenceThread {
  readonly #listeners: { readonly event: string; readonly listener: Listener }[] = [];
  readonly #starts: boolean;

  constructor(starts: boolean) {
    this.#starts = starts;
  }

  on(event: string, listener: Listener): void {
    this.#listeners.push({ event, listener });
  }

  postMessage({ type }: ToWorker): void {
    if (type === 'open' && this.#starts) this.send({ type: 'ready' });
    else if (type === 'open') this.die();
    else if (type === 'close') this.#emit('exit', 0);
  }

  send(message: FromWorker): void {
    this.#emit('message', message);
  }

  die(): void {
    this.#emit('exit', 1);
  }

  #emit(event: string, value: unknown): void {
    for (const one of this.#listeners) if (one.event === event) one.listener(value as never);
  }
}

/** Keeps a worker whose threads start or not, as scripted; those after the last one start. */
async function keep(starts: readonly boolean[]) {
  const threads: ScriptedThread[] = [];
  const crashes: HoneError[] = [];
  const failures: HoneError[] = [];
  const startedAtMs: number[] = [];
  const keeper = new WorkerKeeper({
    newWorker: () => {
      const thread = new ScriptedThread(starts[threads.length] ?? true);
      threads.push(thread);
      startedAtMs.push(Date.now());
      return new WorkerHandle(thread);
    },
    settings: () => ({}) as WorkerSettings,
    onStep: () => undefined,
    onCrash: (error) => crashes.push(error),
    onFailed: (error) => failures.push(error),
  });
  await keeper.open();
  const crash = (): void => threads.at(-1)?.die();
  return { keeper, threads, crashes, failures, startedAtMs, crash };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a kept worker', () => {
  test('restarts at once after its first crash, and refuses requests until it serves', async () => {
    const { keeper, threads, crashes, crash } = await keep([]);
    crash();
    expect(crashes).toMatchObject([{ code: 'WORKER_CRASHED' }]);
    expect(() => keeper.checkServing()).toThrow(
      expect.objectContaining({ code: 'WORKER_CRASHED', retryAfterMs: 1000 }),
    );
    await keeper.restarted;
    expect(keeper.serving).toBe(true);
    expect(threads).toHaveLength(2);
  });

  test('restarts after a longer pause each time that it cannot start, and is given up after the last', async () => {
    const { keeper, failures, startedAtMs, crash } = await keep([true, false, false, false, false, false]);
    crash();
    await vi.runAllTimersAsync();
    await keeper.restarted;
    const pausesMs = startedAtMs.slice(1).map((atMs, i) => atMs - (startedAtMs[i] as number));
    expect(pausesMs).toEqual([0, 100, 1000, 5000, 15_000]);
    expect(failures).toMatchObject([
      { code: 'WORKER_CRASHED', message: expect.stringContaining('restart the server') },
    ]);
    expect(keeper.serving).toBe(false);
    expect(() => keeper.checkServing()).toThrow('restart the server');
  });

  test('starts with the shortest pause again after a step', async () => {
    const { keeper, threads, crash } = await keep([]);
    crash();
    await keeper.restarted;
    threads.at(-1)?.send(newStepMessage());
    crash();
    await keeper.restarted;
    expect(keeper.serving).toBe(true);
    expect(threads).toHaveLength(3);
  });

  test('is not restarted once it is closed', async () => {
    const { keeper, threads, crash } = await keep([true, false]);
    crash();
    const closed = keeper.close();
    await vi.advanceTimersByTimeAsync(60_000);
    await closed;
    expect(threads).toHaveLength(2);
    expect(() => keeper.checkServing()).toThrow(expect.objectContaining({ code: 'DRAINING' }));
  });
});
