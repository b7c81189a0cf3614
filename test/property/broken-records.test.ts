/**
 * Gives a learner records on which its engine throws, ends the process, or computes nothing that is a number. Each process
 * of the learner is a runner in the test's own process; one that "dies" is never answered again.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LinearForm } from '../../src/learner/linear-form.js';
import type { LearnerEvent } from '../../src/learner/process/messages.js';
import { LearnerRunner } from '../../src/learner/round/runner.js';
import type { Differentiated, Parameters, TrainingRow } from '../../src/learner/types.js';
import { temporaryFolder } from '../support/folders.js';
import { BanditEngine } from '../support/learner/bandit-engine.js';
import { decoder, type Experience, openExperience, type Sample, settings } from '../support/learner/experience.js';
import { type Candidate, isCandidate } from '../support/learner/runner.js';
import { preferenceWrite } from '../support/replay/records.js';

const faults = ['throws', 'throws_backward', 'dies', 'dies_backward', 'is_no_number'] as const;
type Fault = (typeof faults)[number];

/** A completion is [arm, its number]: the bandit reads the arm alone, so each completion is a member of its own. */
const numberOf = ({ completionTokens }: TrainingRow): number => completionTokens[1] ?? -1;

/** The bandit, with faults by the number of a completion. */
class FaultyEngine extends BanditEngine {
  readonly #faults: ReadonlyMap<number, Fault>;
  readonly #onDeath: () => void;
  /** Number of the pass that throws or dies once, whatever its rows are; and which of the two. */
  readonly #mishaps: Map<number, 'throws' | 'dies'>;
  #passes = 0;

  constructor(faultsOf: ReadonlyMap<number, Fault>, mishaps: Map<number, 'throws' | 'dies'>, onDeath: () => void) {
    super(1);
    this.#faults = faultsOf;
    this.#mishaps = mishaps;
    this.#onDeath = onDeath;
  }

  override async logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array> {
    await this.#meet(rows, false);
    const logprobs = await super.logProbabilities(rows, parameters);
    for (const [i, row] of rows.entries()) {
      if (this.#faults.get(numberOf(row)) === 'is_no_number') logprobs[i] = Number.NaN;
    }
    return logprobs;
  }

  override async differentiate(
    rows: readonly TrainingRow[],
    form: LinearForm,
    at: Parameters,
  ): Promise<Differentiated> {
    await this.#meet(rows, true);
    return super.differentiate(rows, form, at);
  }

  async #meet(rows: readonly TrainingRow[], isBackward: boolean): Promise<void> {
    this.#passes += 1;
    const mishap = this.#mishaps.get(this.#passes);
    this.#mishaps.delete(this.#passes);
    const met = rows.map((row) => this.#faults.get(numberOf(row)));
    const has = (fault: 'throws' | 'dies'): boolean =>
      mishap === fault || met.includes(fault) || (isBackward && met.includes(`${fault}_backward`));
    if (has('dies')) {
      this.#onDeath();
      await new Promise(() => undefined);
    }
    if (has('throws')) throw new RangeError('indices out of bounds');
  }
}

function withResolvers<Value>() {
  let resolve: (value: Value) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<Value>((fulfil, refuse) => {
    [resolve, reject] = [fulfil, refuse];
  });
  return { promise, resolve, reject };
}

interface Outcome {
  readonly candidate: Candidate;
  readonly deaths: number;
  /** Generations that events named as set aside, in the order of the events. */
  readonly setAside: readonly string[];
  readonly directory: string;
}

const chosen = {
  rank: 2,
  scale: 1,
  beta: 0.2,
  learningRate: 0.05,
  scoresPerRound: 4,
  groupsPerStep: 3,
  groupSize: 3,
  replayRatio: 2,
};

/** More would be a loop without an end. */
const mostDeaths = 100;

/** One process of the learner. */
function startProcess(
  directory: string,
  { path, reader }: Experience,
  engine: BanditEngine,
  send: (event: LearnerEvent) => void,
) {
  const runner = new LearnerRunner({
    start: {
      type: 'start',
      packageDirectory: '/somewhere/tldr',
      packageDigest: 'package',
      decoder,
      replayPath: path,
      directory,
      settings: settings(chosen),
      liveVersion: 0,
      adapterPath: null,
      adapterDigest: '',
      checkpointEveryMs: 0,
    },
    engine,
    reader,
    send,
  });
  return { runner, finished: runner.run() };
}

/** Learns one round, with as many processes as that takes. */
async function learn(
  experience: Experience,
  faultsOf: ReadonlyMap<number, Fault>,
  mishaps = new Map<number, 'throws' | 'dies'>(),
): Promise<Outcome> {
  const directory = join(temporaryFolder(), 'learner');
  const events: LearnerEvent[] = [];
  for (let deaths = 0; ; deaths++) {
    const ending = withResolvers<Candidate | 'died'>();
    const engine = new FaultyEngine(faultsOf, mishaps, () => ending.resolve('died'));
    const { runner, finished } = startProcess(directory, experience, engine, (event) => {
      events.push(event);
      if (isCandidate(event)) ending.resolve(event);
    });
    // The server starts a process again that has failed.
    finished.catch((error: unknown) => (deaths < mostDeaths ? ending.resolve('died') : ending.reject(error)));
    const candidate = await ending.promise;
    if (candidate === 'died') continue;
    runner.handle({ type: 'stop' });
    await finished;
    const setAside = events.flatMap((event) =>
      event.type === 'set_aside' && event.isNews ? event.records.map(({ generationId }) => generationId) : [],
    );
    return { candidate, deaths, setAside, directory };
  }
}

/** The events of a process that reads the store and then stops. */
async function lookIn(directory: string, experience: Experience): Promise<LearnerEvent[]> {
  const events: LearnerEvent[] = [];
  const ready = withResolvers<void>();
  const { runner, finished } = startProcess(directory, experience, new BanditEngine(1), (event) => {
    events.push(event);
    if (event.type === 'ready') ready.resolve();
  });
  await ready.promise;
  runner.handle({ type: 'stop' });
  await finished;
  return events;
}

/** Completions by group, with a fault or none. A group of one is compared with V(x). */
const fault = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constantFrom(...faults) },
);
const records = fc
  .array(fc.array(fault, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 6 })
  .map((groups) => {
    // Enough sound ones for a round.
    const all = [[null, null, null, null], ...groups];
    const samples: Sample[] = [];
    const faultsOf = new Map<number, Fault>();
    for (const [g, group] of all.entries()) {
      for (const fault of group) {
        const number = samples.length + 3;
        const id = `g${number}`;
        const tokens = [number % 3, number];
        samples.push({ id, group: `group ${g}`, promptTokens: [g + 1], tokens, reward: (number % 5) / 4 });
        if (fault !== null) faultsOf.set(number, fault);
      }
    }
    return { samples, faultsOf };
  });

/** Compares neighbours of a group. */
async function compare(experience: Experience, samples: readonly Sample[]): Promise<void> {
  for (const [i, { id, group }] of samples.entries()) {
    const next = samples[i + 1];
    if (next === undefined || i % 3 !== 0 || next.group !== group) continue;
    await experience.store.write([preferenceWrite(id, next.id, 'better')]);
  }
}

test('exactly the records on which training breaks are set aside, and what is learned is what they leave', async () => {
  await fc.assert(
    fc.asyncProperty(records, fc.boolean(), async ({ samples, faultsOf }, withPairs) => {
      const isSound = (_: Sample, i: number): boolean => !faultsOf.has(i + 3);
      const [all, sound] = [await openExperience(), await openExperience()];
      await all.add(samples);
      await sound.add(samples.filter(isSound));
      if (withPairs) {
        await compare(all, samples);
        // The same pairs, without those that lose a side.
        for (const [i, sample] of samples.entries()) {
          const next = samples[i + 1];
          const isPair = i % 3 === 0 && next?.group === sample.group;
          if (!isPair || next === undefined || !isSound(sample, i) || !isSound(next, i + 1)) continue;
          await sound.store.write([preferenceWrite(sample.id, next.id, 'better')]);
        }
      }
      const { candidate, setAside, deaths } = await learn(all, faultsOf);
      const alone = await learn(sound, new Map());
      expect([...setAside].sort()).toEqual([...faultsOf.keys()].map((number) => `g${number}`).sort());
      expect(candidate.adapterDigest).toBe(alone.candidate.adapterDigest);
      expect(candidate.metrics).toEqual({ ...alone.candidate.metrics, scores_seen: candidate.metrics.scores_seen });
      const deadly = [...faultsOf.values()].filter((fault) => fault.startsWith('dies')).length;
      expect(deaths).toBeLessThanOrEqual(deadly * 5);
    }),
    { numRuns: 15 },
  );
}, 120_000);

test('two passes that throw or end the process by chance set nothing aside and change nothing', async () => {
  const mishap = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom('throws' as const, 'dies' as const));
  await fc.assert(
    fc.asyncProperty(records, fc.array(mishap, { maxLength: 2 }), async ({ samples }, mishaps) => {
      const experience = await openExperience();
      await experience.add(samples);
      const { candidate, setAside } = await learn(experience, new Map(), new Map(mishaps));
      const calm = await learn(experience, new Map());
      expect(setAside).toEqual([]);
      expect(candidate.adapterDigest).toBe(calm.candidate.adapterDigest);
    }),
    { numRuns: 15 },
  );
}, 120_000);

test('a round that the sound records alone would not have begun is taken back, and waits for another score', async () => {
  const sample = (number: number): Sample => {
    return { id: `g${number}`, promptTokens: [1], tokens: [number % 3, number], reward: number / 10 };
  };
  const experience = await openExperience();
  await experience.add([3, 4, 5, 6].map(sample));
  const directory = join(temporaryFolder(), 'learner');
  const [rests, ends] = [withResolvers<void>(), withResolvers<Candidate>()];
  let hasSetAside = false;
  const engine = new FaultyEngine(new Map([[5, 'throws_backward']]), new Map(), () => undefined);
  const { runner, finished } = startProcess(directory, experience, engine, (event) => {
    hasSetAside ||= event.type === 'set_aside';
    if (hasSetAside && event.type === 'progress' && event.progress.state === 'idle') rests.resolve();
    if (isCandidate(event)) ends.resolve(event);
  });
  await Promise.race([rests.promise, ends.promise]);
  await experience.add([sample(7)]);
  runner.handle({ type: 'changed' });
  const candidate = await ends.promise;
  runner.handle({ type: 'stop' });
  await finished;
  expect([...candidate.lessons].sort()).toEqual(['g3', 'g4', 'g6', 'g7']);
  const sound = await openExperience();
  await sound.add([3, 4, 6, 7].map(sample));
  expect(candidate.adapterDigest).toBe((await learn(sound, new Map())).candidate.adapterDigest);
});

test('a record that broke training stays set aside when the learner starts again, until it is erased', async () => {
  const experience = await openExperience();
  await experience.add(
    Array.from({ length: 6 }, (_, i) => ({
      id: `g${i + 3}`,
      promptTokens: [1],
      tokens: [i % 3, i + 3],
      reward: i / 5,
    })),
  );
  const { setAside, directory } = await learn(experience, new Map([[5, 'throws']]));
  expect(setAside).toEqual(['g5']);
  const broken = (events: readonly LearnerEvent[]): number[] =>
    events.flatMap((event) => (event.type === 'progress' ? [event.progress.setAside.broke] : []));
  const later = await lookIn(directory, experience);
  expect(later.filter(({ type }) => type === 'set_aside')).toMatchObject([
    {
      isNews: false,
      records: [{ generationId: 'g5', cause: 'broke', reason: expect.stringContaining('out of bounds') }],
    },
  ]);
  expect(broken(later).at(-1)).toBe(1);
  await experience.store.eraseSubject('someone');
  expect(broken(await lookIn(directory, experience)).at(-1)).toBe(0);
  expect(readFileSync(join(directory, 'set-aside.json'), 'utf8')).not.toContain('g5');
});
