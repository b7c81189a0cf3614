/** Runs a learner in the test's own process, on the bandit instead of a decoder. */

import { expect, onTestFinished } from 'vitest';
import type { LearnerEvent, LearnerStart } from '../../../src/learner/process/messages.js';
import { LearnerRunner } from '../../../src/learner/round/runner.js';
import type { LearnerSettings } from '../../../src/learner/types.js';
import { readAdapter } from '../../../src/versions/index.js';
import { BanditEngine } from './bandit-engine.js';
import { decoder, type Experience, type Sample, settings } from './experience.js';

export type Candidate = Extract<LearnerEvent, { readonly type: 'candidate' }>;

const armRewards = [1, 0.5, 0];

/** The completions of one round, scored: every arm for each prompt. */
export function round(number: number | string, prompts = 4, over: Partial<Sample> = {}): Sample[] {
  return Array.from({ length: prompts * 3 }, (_, i) => ({
    id: `${number}-${i}`,
    group: `${number}-${Math.floor(i / 3)}`,
    tokens: [i % 3],
    reward: armRewards[i % 3] ?? 0,
    ...over,
  }));
}

/** Settings under which the 12 completions of {@link round} start a round of 8 steps. */
export const bandit = {
  rank: 2,
  scale: 1,
  beta: 0.2,
  learningRate: 0.05,
  scoresPerRound: 12,
  groupsPerStep: 2,
  replayRatio: 4,
};

/** Starts a learner, and collects its events. */
export function startRunner(
  directory: string,
  experience: Experience,
  over: Partial<LearnerSettings & LearnerStart> = {},
) {
  const engine = new BanditEngine(1);
  const events: LearnerEvent[] = [];
  let heard = (): void => undefined;
  const runner = new LearnerRunner({
    start: {
      type: 'start',
      packageDirectory: '/somewhere/tldr',
      packageDigest: 'package',
      decoder,
      replayPath: experience.path,
      directory,
      settings: settings(bandit),
      liveVersion: 0,
      adapterPath: null,
      adapterDigest: '',
      checkpointEveryMs: 0,
      ...over,
    },
    engine,
    reader: experience.reader,
    send: (event) => {
      events.push(event);
      heard();
    },
  });
  const finished = runner.run();
  const stop = async (): Promise<void> => {
    runner.handle({ type: 'stop' });
    await finished;
  };
  onTestFinished(() => stop().catch(() => undefined));

  /** The first event, from the index `from` on, for which the condition holds. */
  async function until<E extends LearnerEvent>(
    condition: (event: LearnerEvent) => event is E,
    from?: number,
  ): Promise<E>;
  async function until(condition: (event: LearnerEvent) => boolean, from?: number): Promise<LearnerEvent>;
  async function until(condition: (event: LearnerEvent) => boolean, from = 0): Promise<LearnerEvent> {
    for (;;) {
      const found = events.slice(from).find(condition);
      if (found !== undefined) return found;
      const hearsMore = new Promise<boolean>((resolve) => {
        heard = () => resolve(true);
      });
      const ended = finished.then(() => false);
      expect(await Promise.race([hearsMore, ended]), 'the learner ended without the event').toBe(true);
    }
  }
  return { runner, engine, events, until, stop, finished };
}

export const isCandidate = (event: LearnerEvent): event is Candidate => event.type === 'candidate';
export const isHalted = (event: LearnerEvent): boolean =>
  event.type === 'progress' && event.progress.state === 'halted';
export const isIdle = (event: LearnerEvent): boolean => event.type === 'progress' && event.progress.state === 'idle';

export async function adapterProbabilities(engine: BanditEngine, directory: string): Promise<number[]> {
  const { adapter } = await readAdapter(directory);
  return engine.probabilities(new Map(adapter.tensors));
}
