/** A request is recorded as it ended, in whichever order events, aborts, failures and a leaving caller come. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventLog } from '../../src/agent/events/event-log.js';
import type { CheckedRequest } from '../../src/agent/generation/check-request.js';
import type { GenerationContext } from '../../src/agent/generation/generation-context.js';
import { RequestRecord } from '../../src/agent/generation/request-record.js';
import { runGeneration } from '../../src/agent/generation/run-generation.js';
import type { AgentEvent } from '../../src/agent/generation/types.js';
import { RequestMeter } from '../../src/agent/meter.js';
import { StoreOutage } from '../../src/agent/store-outage.js';
import { HoneError } from '../../src/errors.js';
import type { Package } from '../../src/package/index.js';
import type { CompletionEvent, CompletionRequest, FinishReason, Policy } from '../../src/policy/index.js';
import type { GenerationCompletion, ReplayStore } from '../../src/replay/index.js';
import { finished, started, token } from '../support/agent/scripted-policy.js';

/** What happens at one moment of a request. */
const moment = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ is: fc.constant('token' as const), completion: fc.integer({ min: 0, max: 3 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      is: fc.constant('end of a completion' as const),
      completion: fc.integer({ min: 0, max: 3 }),
      reason: fc.constantFrom('stop' as const, 'length' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ is: 'abort' as const }) },
  { weight: 1, arbitrary: fc.constant({ is: 'the policy dies' as const }) },
  { weight: 1, arbitrary: fc.constant({ is: 'the caller leaves' as const }) },
);

const plan = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  store: fc.boolean(),
  admission: fc.constantFrom('works' as const, 'works' as const, 'STORE_FULL' as const, 'QUEUE_FULL' as const),
  completion: fc.constantFrom('works' as const, 'works' as const, 'STORE_FULL' as const),
  diesWhenStopped: fc.boolean(),
  startsAt: fc.integer({ min: 0, max: 1 }),
  moments: fc.array(moment, { maxLength: 12 }),
});
type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

const tooLate = new HoneError('DEADLINE_EXCEEDED', 'too late');

/** What the policy has reported, by completion. */
interface Reported {
  readonly tokens: number[];
  reason: FinishReason | null;
}

class Request {
  readonly plan: Plan;
  readonly reported: Reported[];
  readonly admitted: string[] = [];
  readonly completed: GenerationCompletion[][] = [];
  readonly hooks: string[] = [];
  readonly counted: string[] = [];
  readonly events: AgentEvent[] = [];
  readonly abort = new AbortController();
  died = false;
  left = false;
  thrown: HoneError | null = null;
  #leave = false;

  constructor(one: Plan) {
    this.plan = one;
    this.reported = Array.from({ length: one.n }, () => ({ tokens: [], reason: null }));
  }

  get context(): GenerationContext {
    const replay = {
      admit: async (items: readonly { readonly id: string }[]) => {
        if (this.plan.admission !== 'works') throw new HoneError(this.plan.admission, 'refused');
        this.admitted.push(...items.map(({ id }) => id));
      },
      complete: async (items: readonly GenerationCompletion[]) => {
        this.completed.push([...items]);
        if (this.plan.completion !== 'works') throw new HoneError(this.plan.completion, 'refused');
      },
    } as unknown as ReplayStore;
    return {
      pkg: { digest: 'p' } as Package,
      policy: {
        complete: (request: CompletionRequest, signal: AbortSignal) => this.#script(request, signal),
      } as unknown as Policy,
      replay,
      now: () => 7,
      storeOutage: new StoreOutage({
        replay: { complete: async () => undefined } as unknown as ReplayStore,
        events: new EventLog({ now: () => 0 }),
        now: () => 7,
      }),
      onAdmitted: () => this.hooks.push('admitted'),
      onRecorded: () => this.hooks.push(`recorded after ${this.completed.length} write`),
    };
  }

  async run(): Promise<void> {
    const meter = new RequestMeter({
      completionEnded: ({ reason, tokens }) => this.counted.push(`${reason} ${tokens}`),
    });
    const { n, store } = this.plan;
    const request = { n, store, seed: 1, promptTokens: [1, 2], sampling: {} } as unknown as CheckedRequest;
    try {
      for await (const event of runGeneration(this.context, { ...request, version: undefined }, this.abort, meter)) {
        this.events.push(event);
        if (this.#leave) {
          this.left = true;
          break;
        }
      }
    } catch (thrown) {
      this.thrown = HoneError.from(thrown);
    }
  }

  async *#script(_: CompletionRequest, signal: AbortSignal): AsyncGenerator<CompletionEvent> {
    const { moments, startsAt, diesWhenStopped } = this.plan;
    const inFlight: CompletionEvent[] = [];
    if (!diesWhenStopped) signal.addEventListener('abort', () => inFlight.push(...this.#lastTokens()), { once: true });
    for (const [at, one] of moments.entries()) {
      if (at === startsAt) yield started;
      if (signal.aborted) break;
      if (one.is === 'abort') this.abort.abort(tooLate);
      if (one.is === 'the caller leaves') this.#leave = true;
      if (one.is === 'the policy dies') this.#die();
      if (one.is === 'token' || one.is === 'end of a completion') yield* this.#report(at >= startsAt, one);
    }
    if (moments.length <= startsAt && !signal.aborted) yield started;
    if (signal.aborted && diesWhenStopped) this.#die();
    for (const completion of this.reported.keys()) {
      yield* inFlight.splice(0);
      yield* this.#report(true, { completion, reason: signal.aborted ? 'cancelled' : 'stop' });
    }
  }

  /** What the policy has computed when it is stopped, and still reports. */
  #lastTokens(): CompletionEvent[] {
    if (this.died || this.events.length === 0) return [];
    return this.reported.flatMap(({ tokens, reason }, completion) => {
      if (reason !== null) return [];
      tokens.push(98);
      return [token(completion, 98)];
    });
  }

  *#report(
    isStarted: boolean,
    { completion, reason }: { readonly completion: number; readonly reason?: 'stop' | 'length' | 'cancelled' },
  ): Generator<CompletionEvent> {
    const reported = this.reported[completion];
    if (!isStarted || reported?.reason !== null) return;
    if (reason === undefined) {
      reported.tokens.push(97);
      yield token(completion, 97);
    } else {
      reported.reason = reason;
      yield finished(completion, reason);
    }
  }

  #die(): never {
    this.died = true;
    throw new HoneError('WORKER_CRASHED', 'the worker died');
  }
}

function check(request: Request): void {
  const { plan: one, reported, admitted, completed, hooks, counted, events, thrown, abort } = request;
  const began = events.length > 0 || thrown?.code === one.admission;
  const stored = admitted.length > 0;
  expect(stored).toBe(began && one.store && one.admission === 'works');
  expect(completed).toHaveLength(stored ? 1 : 0);
  expect(hooks).toEqual(stored ? ['admitted', 'recorded after 1 write'] : []);

  // The policy's own end of a completion stands; any other end is the caller's, an abort's or a failure's.
  const failed = thrown !== null && (request.died || thrown.code === 'QUEUE_FULL') && !request.left;
  const reasons = reported.map(({ reason }) => reason ?? (failed ? 'error' : 'cancelled'));
  const states = reasons.map((reason) =>
    reason === 'error' ? 'aborted' : reason === 'cancelled' ? reason : 'finished',
  );
  if (stored) {
    expect(completed[0]?.map(({ id }) => id)).toEqual(admitted);
    expect(completed[0]?.map(({ state }) => state)).toEqual(states);
    expect(completed[0]?.map(({ finishReason }) => finishReason)).toEqual(reasons);
    expect(completed[0]?.map(({ tokens }) => tokens.length)).toEqual(reported.map(({ tokens }) => tokens.length));
  }
  expect(counted).toEqual(began ? reported.map(({ tokens }, index) => `${reasons[index]} ${tokens.length}`) : []);

  if (events.length > 0) expect(events[0]?.type).toBe('started');
  const isWhole = events.at(-1)?.type === 'ended';
  expect(events.filter(({ type }) => type === 'ended')).toHaveLength(isWhole ? 1 : 0);
  if (isWhole) {
    expect(states.every((state) => state === 'finished')).toBe(true);
    expect(thrown).toBeNull();
  }
  if (!isWhole && !request.left) expect(thrown).not.toBeNull();
  if (thrown !== null) {
    const expected = [
      one.admission,
      'STORE_FULL',
      'WORKER_CRASHED',
      ...(abort.signal.aborted ? ['DEADLINE_EXCEEDED'] : []),
    ];
    expect(expected).toContain(thrown.code);
  }
}

describe('a request', () => {
  it('is stored once, as it ended, whatever ends it', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async (one) => {
        const request = new Request(one);
        await request.run();
        check(request);
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses every call that its state does not allow', async () => {
    const call = fc.constantFrom('begin', 'keep', 'finished', 'cancelled', 'aborted');
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 8 }), async (calls) => {
        const allowed: Readonly<Record<string, readonly string[]>> = {
          waiting: ['begin', 'cancelled', 'aborted'],
          running: ['keep', 'finished', 'cancelled', 'aborted'],
          ended: [],
        };
        const { context } = new Request({
          ...fc.sample(plan, 1)[0],
          n: 1,
          admission: 'works',
          completion: 'works',
        } as Plan);
        const asked = { n: 1, store: true, promptTokens: [1], sampling: {} } as unknown as CheckedRequest;
        const record = new RequestRecord(context, asked, new RequestMeter({}));
        let state = 'waiting';
        for (const one of calls) {
          const answer = Promise.resolve().then(() => {
            if (one === 'begin') return record.begin(started as never);
            if (one === 'keep') return void record.keep(token(0, 97));
            return record.end(one as 'finished');
          });
          if (!allowed[state]?.includes(one)) {
            await expect(answer).rejects.toMatchObject({ code: 'INTERNAL' });
            continue;
          }
          await answer;
          state = one === 'begin' || one === 'keep' ? 'running' : 'ended';
          expect(record.hasEnded).toBe(state === 'ended');
        }
      }),
      { numRuns: 300 },
    );
  });
});
