/** Compares a learner that is killed again and again with one that is left alone, step by step. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { LearnerSupervisor } from '../../src/learner/index.js';
import type { LearnerEvent } from '../../src/learner/process/messages.js';
import { startLearner } from '../../src/learner/process/supervisor.js';
import { readCheckpoint } from '../../src/learner/round/checkpoint.js';
import { temporaryFolder } from '../support/folders.js';
import { type Experience, openExperience, type Sample, settings } from '../support/learner/experience.js';
import { preferenceWrite, scoreWrite } from '../support/replay/records.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
type Candidate = Extract<LearnerEvent, { type: 'candidate' }>;

function start(directory: string, { path }: Experience): LearnerSupervisor {
  const learner = startLearner({
    packageDirectory: join(root, 'test', 'fixtures', 'tiny'),
    packageDigest: 'package',
    decoder: { vocabularySize: 260, contextLength: 128 },
    replayPath: path,
    directory,
    settings: settings({ rank: 2, scoresPerRound: 16, groupsPerStep: 3, replayRatio: 40, learningRate: 0.01 }),
    liveVersion: 0,
    adapterPath: null,
    adapterDigest: '',
    restartAfterMs: 10,
    checkpointEveryMs: 30,
    // The test decides on kills at each step.
    reportEveryMs: 0,
  });
  onTestFinished(() => learner.close());
  return learner;
}

/** Resolves to the next candidate; `onTraining` is called with the number of steps while the learner trains. */
function candidateOf(learner: LearnerSupervisor, onTraining: (steps: number) => void = () => undefined) {
  return new Promise<Candidate>((resolve) => {
    learner.onEvent((event) => {
      if (event.type === 'candidate') resolve(event);
      if (event.type === 'progress' && event.progress.state === 'training') onTraining(event.progress.steps);
    });
  });
}

/** Rejects a candidate; resolves when the learner has gone back to the live weights. */
function goBack(learner: LearnerSupervisor, adapterDigest: string): Promise<void> {
  const back = new Promise<void>((resolve) => {
    learner.onEvent((event) => {
      if (event.type === 'progress' && event.progress.state === 'idle') resolve();
    });
  });
  learner.rejected(adapterDigest);
  return back;
}

/** Groups of four, some of which have the same tokens twice, and singles. */
function samples(round: string): Sample[] {
  return Array.from({ length: 60 }, (_, i) => {
    const group = i < 48 ? Math.floor(i / 4) : i;
    const tokens = Array.from({ length: 6 }, (_, t) => ((i % 7 === 3 ? i - 1 : i) * 31 + t * 17 + group * 7) % 250);
    const reward = ((i * 37) % 11) / 10;
    return { id: `${round}-${i}`, group: `${round}-${group}`, promptTokens: [group + 1, 5, 9], tokens, reward };
  });
}

async function lossesOf(directory: string) {
  const state = (await readCheckpoint(join(directory, 'checkpoint.safetensors')))?.state;
  return state?.meter?.finished.map(({ loss, kl, gradientNorm }) => ({ loss, kl, gradientNorm }));
}

test('a learner that is killed at any step comes to the same losses and weights as one that is left alone', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  await experience.add(samples('a'));
  // Later scores and comparisons, in another order: a process that reads the store from the beginning meets them at
  // other places than one that followed it.
  await experience.store.write(['a-20', 'a-9', 'a-2'].map((id, i) => scoreWrite(id, i / 3)));
  await experience.store.write([preferenceWrite('a-4', 'a-5', 'better'), preferenceWrite('a-13', 'a-12', 'worse')]);
  const [alone, killed] = [start(join(directory, 'alone'), experience), start(join(directory, 'killed'), experience)];
  let kills = 0;
  /** The process to kill, once it is ready. */
  let pid: number | null = null;
  killed.onEvent((event) => {
    if (event.type === 'ready') pid = event.pid;
  });
  const crash = (): void => {
    if (pid === null) return;
    kills += 1;
    process.kill(pid, 'SIGKILL');
    pid = null;
  };
  let last = 0;
  const [whole, parts] = await Promise.all([
    candidateOf(alone),
    candidateOf(killed, (steps) => {
      // Not near the end of the round: a candidate that is on disk but was not sent yet would come with the next round.
      if (kills >= 3 || steps < last + 20 || steps > 200) return;
      last = steps;
      crash();
    }),
  ]);
  expect(kills).toBeGreaterThan(1);
  const losses = await lossesOf(join(directory, 'alone'));
  expect(losses?.length).toBeGreaterThan(200);
  expect(await lossesOf(join(directory, 'killed'))).toEqual(losses);
  expect(parts).toMatchObject({ adapterDigest: whole.adapterDigest, metrics: whole.metrics });

  // After the rejection the first round's completions may be used again, so half of the second round is older. The
  // learner is killed before that round and in it.
  await Promise.all([alone, killed].map((learner) => goBack(learner, whole.adapterDigest)));
  await experience.add(samples('b'));
  const before = kills;
  const next = Promise.all([
    candidateOf(alone),
    candidateOf(killed, (steps) => {
      const done = steps - (losses?.length ?? 0);
      if (kills === before + 1 && done >= 30 && done < 250) crash();
    }),
  ]);
  crash();
  alone.changed();
  const [second, secondParts] = await next;
  expect(kills).toBe(before + 2);
  expect(await lossesOf(join(directory, 'killed'))).toEqual(await lossesOf(join(directory, 'alone')));
  expect(secondParts.adapterDigest).toBe(second.adapterDigest);
});
