/** A rollout in random orders of offers, verdicts, decisions of people and of rewards, failures, restarts and kills. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LoopEvent } from '../../src/agent/events/types.js';
import { modes } from '../../src/agent/rollout/modes.js';
import { HoneError } from '../../src/errors.js';
import type { VersionState } from '../../src/versions/types.js';
import { faults, RolloutWorld } from '../support/agent/rollout-world.js';

const number = fc.integer({ min: 0, max: 8 });
const mode = fc.constantFrom(...modes);

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('offer' as const), trainedFrom: number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('import' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('judge' as const),
      outcome: fc.constantFrom('passed' as const, 'failed' as const, 'error' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('promote' as const), number }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reject' as const), number }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('roll back' as const), number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('set mode' as const), mode }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('decide canary' as const),
      candidate: fc.constantFrom('better' as const, 'worse' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail once' as const), fault: fc.constantFrom(...faults) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('kill' as const), afterWrites: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), mode, pauseMs: fc.constantFrom(0, 2000) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a caller may be told: what it asked for is not possible, or a step was made to fail. */
const answers = ['VERSION_NOT_FOUND', 'VERSION_NOT_SERVABLE', 'STORE_FULL', 'ADAPTER_INVALID', 'WORKER_CRASHED'];

/** States of versions as those who watch the events know them. */
class Watcher {
  readonly #states = new Map<number, VersionState>();
  #seen = 0;

  /** Takes the states from the log, as a watcher does whose events were lost. */
  readLog(world: RolloutWorld): void {
    for (const { number: version, state } of world.versions) this.#states.set(version, state);
    this.#seen = world.events.length;
  }

  states(world: RolloutWorld): (readonly [number, VersionState | undefined])[] {
    for (const event of world.events.slice(this.#seen)) this.#see(event);
    this.#seen = world.events.length;
    return world.versions.map((version) => [version.number, this.#states.get(version.number)]);
  }

  #see({ type, version = -1 }: LoopEvent): void {
    if (type === 'version_created') this.#states.set(version, 'candidate');
    else if (type === 'version_rejected') this.#states.set(version, 'rejected');
    else if (type === 'canary_started') this.#states.set(version, 'canary');
    else if (type === 'shadow_started') this.#states.set(version, 'shadow');
    else if (type === 'canary_ended' || type === 'shadow_ended') this.#states.set(version, 'candidate');
    else if (type === 'version_promoted' || type === 'version_rolled_back') {
      for (const [other, state] of this.#states) if (state === 'live') this.#states.set(other, 'retired');
      this.#states.set(version, 'live');
    }
  }
}

async function take(
  world: RolloutWorld,
  watcher: Watcher,
  one: Step,
  ask: (answer: Promise<unknown>) => void,
): Promise<void> {
  const { rollout } = world;
  switch (one.do) {
    case 'offer':
      ask(world.offer(Math.min(one.trainedFrom, world.versions.length - 1)));
      break;
    case 'import':
      ask(world.import());
      break;
    case 'judge':
      world.judge(one.outcome);
      break;
    case 'promote':
      ask(rollout.promote(one.number));
      break;
    case 'reject':
      ask(rollout.reject(one.number, 'a person said so'));
      break;
    case 'roll back':
      ask(rollout.rollback(one.number));
      break;
    case 'set mode':
      ask(rollout.setMode(one.mode));
      break;
    case 'decide canary':
      world.decideCanary(one.candidate);
      break;
    case 'fail once':
      world.failOnce(one.fault);
      break;
    case 'kill':
      world.killAfter(one.afterWrites);
      break;
    case 'wait':
      await world.quiet();
      break;
    case 'restart':
      await restart(world, watcher, one);
  }
}

async function restart(
  world: RolloutWorld,
  watcher: Watcher,
  over: { mode?: (typeof modes)[number]; pauseMs?: number },
) {
  await world.quiet();
  await world.stop();
  await world.quiet();
  if (world.isKilled) watcher.readLog(world);
  world.passTime(over.pauseMs ?? 0);
  world.start(over.mode);
}

/** Judges, and lets canaries decide, until no candidate can move by itself. */
async function finish(world: RolloutWorld): Promise<void> {
  for (let round = 0; round < 40; round++) {
    await world.quiet();
    const { judging, waiting, trial } = world.rollout.status();
    if (judging === null && waiting === null && trial?.state !== 'canary') return;
    world.judge(round % 3 === 0 ? 'failed' : 'passed');
    await world.quiet();
    world.decideCanary(round % 2 === 0 ? 'better' : 'worse');
  }
  throw new Error('candidates keep moving');
}

/** @param byAPerson versions that a person has asked to promote: the gate does not bind people */
function checkEnd(world: RolloutWorld, watcher: Watcher, byAPerson: ReadonlySet<number>): void {
  const { trial } = world.rollout.status();
  const live = world.versions.filter(({ state }) => state === 'live');
  expect(live.map((version) => version.number)).toEqual([world.served]);
  expect(world.liveVersion.identity.version).toBe(world.served);
  const onTrial = world.versions.filter(({ state }) => state === 'shadow' || state === 'canary');
  expect(onTrial.map((version) => [version.number, version.state])).toEqual(
    trial === null ? [] : [[trial.version, trial.state]],
  );
  expect(world.held).toEqual(trial === null ? [] : [trial.version]);
  for (const { number: version, state, origin, verdict } of world.versions) {
    const refused = verdict.some(({ outcome }) => outcome === 'failed');
    const unjudged = verdict.length === 0 && origin !== 'base' && origin !== 'rollback';
    if (!byAPerson.has(version) && (refused || unjudged)) expect([version, state]).toEqual([version, 'rejected']);
  }
  expect(watcher.states(world)).toEqual(world.versions.map((version) => [version.number, version.state]));
}

it('ends every version in one state, with an event for each change, whatever happens in whichever order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const world = new RolloutWorld();
      const watcher = new Watcher();
      watcher.readLog(world);
      const refusals: string[] = [];
      const ask = (answer: Promise<unknown>) => {
        answer.catch((thrown) => refusals.push(HoneError.from(thrown).code));
      };
      for (const one of steps) {
        if (world.isKilled) await restart(world, watcher, {});
        await take(world, watcher, one, ask);
      }
      await restart(world, watcher, {});
      await finish(world);
      expect(refusals.filter((code) => !answers.includes(code))).toEqual([]);
      expect(world.violations).toEqual([]);
      expect(world.events.filter(({ detail = '' }) => detail.includes('INTERNAL'))).toEqual([]);
      checkEnd(world, watcher, new Set(steps.flatMap((one) => (one.do === 'promote' ? [one.number] : []))));
      await world.stop();
    }),
    { numRuns: 3000 },
  );
});
