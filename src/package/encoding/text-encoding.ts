/**
 * Encodes the texts of callers without holding up the event loop.
 *
 * Short texts are encoded on the event loop, up to a budget for each of its turns; the rest of them wait for the next
 * turn. Long texts go to a thread, one after another. A caller with many texts gives them one by one, so that those of
 * others come between. The thread starts with the first text that needs it, and ends when it has had nothing to do for a
 * while.
 */

import { type ResourceLimits, Worker } from 'node:worker_threads';
import { HoneError } from '../../errors.js';
import type { DecoderConfig, PackageTokenizer } from '../types.js';
import type { EncodedJob, EncoderData } from './encoder-thread.js';
import { costOf, type EncodingJob, encodeJob } from './encoding-job.js';

export interface TextEncoding {
  /**
   * @param signal takes the text out of the line, and rejects with its reason
   * @throws HoneError `INVALID_REQUEST` if the chat template refuses a chat, `QUEUE_FULL`, `WORKER_CRASHED`
   */
  encode(job: EncodingJob, signal?: AbortSignal): Promise<readonly number[]>;
}

/** Encodes every text at once. */
export function encodeAtOnce(tokenizer: PackageTokenizer): TextEncoding {
  return { encode: async (job) => encodeJob(tokenizer, job) };
}

interface Options {
  /** The folder of the package. */
  readonly directory: string;
  readonly tokenizer: PackageTokenizer;
  readonly config: Pick<DecoderConfig, 'contextLength'>;
  /** Default: a thread with a tokenizer of that folder. */
  readonly startThread?: () => EncoderThread;
}

/** The part of `Worker` that is used. */
export interface EncoderThread {
  postMessage(job: EncodingJob): void;
  on(event: 'message', listener: (answer: EncodedJob) => void): unknown;
  on(event: 'error', listener: (thrown: unknown) => void): unknown;
  on(event: 'exit', listener: () => void): unknown;
  terminate(): Promise<unknown>;
}

/** Characters that are encoded on the event loop in one turn: a few milliseconds. A longer text goes to the thread. */
export const charactersPerTurn = 2048;

/** Texts that may wait for the thread, and their characters. */
const maxWaiting = 1024;
const maxWaitingCharacters = 32 * 1024 * 1024;

/** How long the thread is kept when it has nothing to do. */
const idleMs = 60_000;

/** The heap of the thread, in MiB: its code, and what it keeps for a token of the vocabulary and a character of a text. */
const codeMb = 40;
const perTokenMb = 1 / 1024;
const perCharacterMb = 320 / 1024 / 1024;

/** Without limits, the thread would take some hundred megabytes before it collects the garbage of its jobs. */
function heapLimits({ vocabularySize, charactersPerToken }: PackageTokenizer, contextLength: number): ResourceLimits {
  const mb = codeMb + vocabularySize * perTokenMb + contextLength * charactersPerToken * perCharacterMb;
  return { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: Math.ceil(mb) };
}

interface Waiting {
  readonly job: EncodingJob;
  readonly cost: number;
  readonly resolve: (tokens: readonly number[]) => void;
  readonly reject: (reason: unknown) => void;
}

export class ThreadedEncoding implements TextEncoding {
  readonly #tokenizer: PackageTokenizer;
  readonly #startThread: () => EncoderThread;
  /** In the order of their arrival. */
  readonly #waiting = new Set<Waiting>();
  #waitingCharacters = 0;
  #turnLeft = charactersPerTurn;
  /** Resolves when the turn ends in which short texts are encoded; `undefined`: none was in this turn. */
  #turnEnd: Promise<void> | undefined;
  #thread: EncoderThread | undefined;
  #running: Waiting | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor({ directory, tokenizer, config, startThread }: Options) {
    this.#tokenizer = tokenizer;
    const data: EncoderData = { directory, digest: tokenizer.digest };
    const resourceLimits = heapLimits(tokenizer, config.contextLength);
    this.#startThread =
      startThread ??
      (() => new Worker(new URL('./encoder-thread.js', import.meta.url), { workerData: data, resourceLimits }));
  }

  async encode(job: EncodingJob, signal?: AbortSignal): Promise<readonly number[]> {
    signal?.throwIfAborted();
    const cost = costOf(job);
    if (cost <= charactersPerTurn) {
      await this.#takeFromTurn(cost, signal);
      return encodeJob(this.#tokenizer, job);
    }
    if (this.#waiting.size >= maxWaiting || this.#waitingCharacters + cost > maxWaitingCharacters) {
      throw new HoneError('QUEUE_FULL', 'too many long texts wait to be encoded; try again later', {
        retryAfterMs: 1000,
      });
    }
    return this.#encodeInThread(job, cost, signal);
  }

  /** Ends the thread. Texts that wait are rejected. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const thread = this.#thread;
    this.#thread = undefined;
    this.#failAll(new HoneError('DRAINING', 'the server is stopping; send the request again after its restart'));
    await thread?.terminate();
  }

  /** Waits for a turn of the event loop whose budget has room, and takes the cost from it. */
  async #takeFromTurn(cost: number, signal: AbortSignal | undefined): Promise<void> {
    while (cost > this.#turnLeft) {
      await this.#turnEnd;
      signal?.throwIfAborted();
    }
    this.#turnLeft -= cost;
    this.#turnEnd ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turnEnd = undefined;
        this.#turnLeft = charactersPerTurn;
        resolve();
      });
    });
  }

  #encodeInThread(job: EncodingJob, cost: number, signal: AbortSignal | undefined): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      const stopWaiting = () => {
        if (this.#waiting.delete(waiting)) this.#waitingCharacters -= cost;
        reject(signal?.reason);
      };
      const waiting: Waiting = {
        job,
        cost,
        resolve: (tokens) => {
          signal?.removeEventListener('abort', stopWaiting);
          resolve(tokens);
        },
        reject: (reason) => {
          signal?.removeEventListener('abort', stopWaiting);
          reject(reason);
        },
      };
      signal?.addEventListener('abort', stopWaiting, { once: true });
      this.#waiting.add(waiting);
      this.#waitingCharacters += cost;
      this.#runNext();
    });
  }

  #runNext(): void {
    if (this.#running !== undefined) return;
    const [next] = this.#waiting;
    clearTimeout(this.#idle);
    if (next === undefined) {
      this.#idle = setTimeout(() => this.#endThread(), idleMs).unref();
      return;
    }
    this.#waiting.delete(next);
    this.#waitingCharacters -= next.cost;
    this.#running = next;
    this.#thread ??= this.#openThread();
    this.#thread.postMessage(next.job);
  }

  #openThread(): EncoderThread {
    const thread = this.#startThread();
    let cause: unknown;
    thread.on('message', (answer) => {
      const job = this.#running;
      this.#running = undefined;
      if ('tokens' in answer) job?.resolve([...answer.tokens]);
      else job?.reject(HoneError.fromJSON(answer.error));
      this.#runNext();
    });
    thread.on('error', (thrown) => {
      cause = thrown;
    });
    thread.on('exit', () => {
      // A thread that was ended on purpose is not the current one any more.
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      const job = this.#running;
      this.#running = undefined;
      job?.reject(new HoneError('WORKER_CRASHED', 'the thread that encodes texts died; try again', { cause }));
      this.#runNext();
    });
    return thread;
  }

  #endThread(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    void thread?.terminate();
  }

  #failAll(error: HoneError): void {
    const failed = [...(this.#running === undefined ? [] : [this.#running]), ...this.#waiting];
    this.#running = undefined;
    this.#waiting.clear();
    this.#waitingCharacters = 0;
    for (const { reject } of failed) reject(error);
  }
}
