/**
 * The record of one request: what the policy has reported of its completions, and how the request ends.
 *
 *   waiting -> running -> finished | cancelled | aborted
 *
 * A request whose generations cannot be written goes from `waiting` to its end. A request ends once.
 */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { CompletionEvent, CompletionFinished, RequestStarted, TokenChunk } from '../../policy/index.js';
import type { RequestMeter } from '../meter.js';
import { admitGenerations } from './admit-generations.js';
import { CompletionRecord } from './completion-record.js';
import type { GenerationContext, GenerationRequest } from './generation-context.js';

/** finished: the policy ended it; cancelled: the caller, or an abort, ended it; aborted: a failure ended it. */
export type RequestEnding = 'finished' | 'cancelled' | 'aborted';

type State =
  | { readonly is: 'waiting' }
  /** `stored`: the generations are in the store, which has to learn how they end. */
  | { readonly is: 'running'; readonly stored: boolean }
  | { readonly is: RequestEnding };

/** The states that may follow. */
const next: Readonly<Record<State['is'], readonly State['is'][]>> = {
  waiting: ['running', 'cancelled', 'aborted'],
  running: ['finished', 'cancelled', 'aborted'],
  finished: [],
  cancelled: [],
  aborted: [],
};

export class RequestRecord {
  readonly #context: GenerationContext;
  readonly #request: GenerationRequest;
  readonly #meter: RequestMeter;
  readonly #completions: readonly CompletionRecord[];
  #state: State = { is: 'waiting' };

  constructor(context: GenerationContext, request: GenerationRequest, meter: RequestMeter) {
    this.#context = context;
    this.#request = request;
    this.#meter = meter;
    this.#completions = Array.from({ length: request.n }, () => new CompletionRecord(uuidv7()));
  }

  /** Ids of the generations, by index. */
  get ids(): readonly string[] {
    return this.#completions.map(({ id }) => id);
  }

  get tokenCount(): number {
    return this.#completions.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
  }

  get hasEnded(): boolean {
    return next[this.#state.is].length === 0;
  }

  /**
   * The policy has started. When it resolves, the generations are on disk and may take scores, or are not stored: the
   * caller asked for that, or the store takes no writes.
   * @throws HoneError what the store throws; the request is still waiting then
   */
  async begin(started: RequestStarted): Promise<void> {
    this.#check('running');
    const { store } = this.#request;
    const stored = store && (await admitGenerations(this.#context, this.#request, this.ids, started));
    this.#enter({ is: 'running', stored });
    if (stored) this.#context.onAdmitted(this.ids);
  }

  /** Keeps an event of the policy and returns it, or returns `null` for an event that belongs to no completion. */
  keep(event: CompletionEvent): TokenChunk | CompletionFinished | null {
    if (this.#state.is !== 'running') {
      throw new HoneError('INTERNAL', `a request that is ${this.#state.is} cannot keep the event "${event.type}"`);
    }
    if (event.type === 'started') return null;
    const completion = this.#completions[event.completion];
    if (completion === undefined) return null;
    if (event.type === 'tokens') this.#meter.tokens(event.completion, event.tokens.length);
    completion.add(event);
    return event;
  }

  /**
   * Ends the request. When it resolves, what was sampled is on disk, if the generations are stored. A completion that
   * the policy has ended keeps the policy's reason.
   * @throws HoneError what the store throws; the request has ended all the same
   */
  async end(how: RequestEnding): Promise<void> {
    const before = this.#state;
    this.#enter({ is: how });
    const reason = how === 'aborted' ? 'error' : 'cancelled';
    for (const [index, completion] of this.#completions.entries()) {
      this.#meter.completionEnded(index, completion.reason ?? reason);
    }
    if (before.is !== 'running' || !before.stored) return;
    const { replay, now, storeOutage, onRecorded } = this.#context;
    try {
      await replay.complete(this.#completions.map((completion) => completion.toStored(reason, now())));
    } catch (thrown) {
      storeOutage.endsNotWritten(this.ids, HoneError.from(thrown));
      throw thrown;
    } finally {
      onRecorded(this.ids);
    }
  }

  #enter(state: State): void {
    this.#check(state.is);
    this.#state = state;
  }

  #check(is: State['is']): void {
    if (next[this.#state.is].includes(is)) return;
    throw new HoneError('INTERNAL', `a request that is ${this.#state.is} cannot become ${is}`);
  }
}
