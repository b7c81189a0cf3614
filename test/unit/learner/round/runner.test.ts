import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { LearnerEvent, RunnerCommand } from '../../../../src/learner/process/messages.js';
import { readCheckpoint } from '../../../../src/learner/round/checkpoint.js';
import { checkRewardSettings } from '../../../../src/reward/index.js';
import { Database } from '../../../../src/sqlite/index.js';
import { openVersionLog, readAdapter, zeroAdapter } from '../../../../src/versions/index.js';
import { temporaryFolder } from '../../../support/folders.js';
import { type Experience, openExperience } from '../../../support/learner/experience.js';
import {
  adapterProbabilities,
  type Candidate,
  isCandidate,
  isHalted,
  isIdle,
  round,
  startRunner,
} from '../../../support/learner/runner.js';
import { preferenceWrite, scoreWrite } from '../../../support/replay/records.js';

test('a round of scores becomes a candidate that does better, and the next round builds on it', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, events, until } = startRunner(directory, experience);
  await until((event) => event.type === 'ready');
  await experience.add(round(1));
  runner.handle({ type: 'changed' });
  const first = await until(isCandidate);
  const [best = 0, , worst = 0] = await adapterProbabilities(engine, first.directory);
  expect(best).toBeGreaterThan(0.4);
  expect(worst).toBeLessThan(0.3);
  expect(first).toMatchObject({ parent: 0, metrics: { steps: 8, rounds: 1, dropped_steps: 0, mean_reward: 0.5 } });
  expect(first.metrics.kl).toBeGreaterThan(-1);

  const heard = events.length;
  await experience.add(round(2));
  runner.handle({ type: 'changed' });
  const second = await until(isCandidate, heard);
  const [better = 0] = await adapterProbabilities(engine, second.directory);
  expect(better).toBeGreaterThan(best);
  expect(events.some((event) => event.type === 'progress' && event.progress.state === 'training')).toBe(true);
});

test('too few scores start nothing, however often the store changes', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, stop } = startRunner(directory, experience);
  await experience.add(round(1).slice(0, 11));
  runner.handle({ type: 'changed' });
  await stop();
  expect(engine.passes).toEqual([]);
});

test('an idle learner reports what it has read, though no round begins', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, until } = startRunner(directory, experience);
  await until(isIdle);
  await experience.add(round(1).slice(0, 11));
  runner.handle({ type: 'changed' });
  const read = await until((event) => event.type === 'progress' && event.progress.scoresSeen === 11);
  expect(read).toMatchObject({ progress: { state: 'idle', rounds: 0, buffer: { completions: 11, groups: 4 } } });
});

test('the learner goes on from its own weights when its candidate becomes a version', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, until, events } = startRunner(join(directory, 'learner'), experience);
  const versions = await openVersionLog({
    directory: join(directory, 'versions'),
    packageDigest: 'package',
    zeroAdapter: zeroAdapter(engine.targets, 2, 1),
  });
  onTestFinished(() => versions.close());
  await experience.add(round(1));
  runner.handle({ type: 'changed' });
  const candidate = await until(isCandidate);
  const { number } = await versions.promote((await versions.adopt(candidate)).number);
  runner.handle({
    type: 'live',
    version: number,
    adapterPath: versions.adapterPath(number),
    adapterDigest: candidate.adapterDigest,
    rolledBack: false,
  });
  const heard = events.length;
  await experience.add(round(2));
  runner.handle({ type: 'changed' });
  const next = await until(isCandidate, heard);
  expect(next.parent).toBe(1);
  expect(next.metrics.steps).toBe(16);

  const back = events.length;
  runner.handle({ type: 'live', version: 2, adapterPath: null, adapterDigest: '', rolledBack: true });
  await until(isIdle, back);
  await experience.add(round(3));
  runner.handle({ type: 'changed' });
  const after = await until(isCandidate, back);
  expect(after.parent).toBe(2);
  const [best = 0] = await adapterProbabilities(engine, after.directory);
  // Rolled back to the zero adapter, it had one round instead of two.
  const [ahead = 1] = await adapterProbabilities(engine, next.directory);
  expect(best).toBeLessThan(ahead);
});

test('a candidate that is rejected takes the learner back to the live weights, once', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, until, events } = startRunner(directory, experience);
  const nextRound = async (number: number): Promise<Candidate> => {
    const heard = events.length;
    await experience.add(round(number));
    runner.handle({ type: 'changed' });
    return until(isCandidate, heard);
  };
  const bestOf = async ({ directory: at }: Candidate) => (await adapterProbabilities(engine, at))[0] ?? 0;
  const first = await nextRound(1);
  const second = await nextRound(2);
  const back = events.length;
  runner.handle({ type: 'rejected', adapterDigest: second.adapterDigest });
  await until(isIdle, back);
  const third = await nextRound(3);
  // It learned from the zero adapter again: one round instead of three. The steps are counted on.
  expect(await bestOf(second)).toBeGreaterThan(await bestOf(first));
  expect(await bestOf(third)).toBeLessThan(await bestOf(second));
  expect(third.metrics).toMatchObject({ rounds: 3, steps: 24 });
  // It has gone back already, so its former candidates do not matter any more.
  runner.handle({ type: 'rejected', adapterDigest: second.adapterDigest });
  expect(await bestOf(await nextRound(4))).toBeGreaterThan(await bestOf(third));
});

test('a learner that is stopped in the middle of a round goes on in the middle of it', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startRunner(directory, experience);
  await experience.add(round(1, 40).slice(0, 120));
  first.runner.handle({ type: 'changed' });
  await first.until((event) => event.type === 'progress' && event.progress.state === 'training');
  await first.stop();
  const done = first.engine.passes.length;
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(80);
  expect(first.events.some(isCandidate)).toBe(false);

  const second = startRunner(directory, experience);
  const candidate = await second.until(isCandidate);
  expect(candidate.metrics.steps).toBe(80);
  expect(second.engine.passes.length).toBe(80 - done);
  const uses = new Map<string, number>();
  for (const { rows } of [...first.engine.passes, ...second.engine.passes]) {
    for (const { completionTokens } of rows) {
      const key = `${completionTokens}`;
      uses.set(key, (uses.get(key) ?? 0) + 1);
    }
  }
  expect([...uses.values()].reduce((sum, n) => sum + n, 0)).toBe(120 * 4);
});

test('a live version that was not made of the checkpoint replaces its weights', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startRunner(join(directory, 'learner'), experience);
  await experience.add(round(1));
  first.runner.handle({ type: 'changed' });
  const candidate = await first.until(isCandidate);
  const versions = await openVersionLog({
    directory: join(directory, 'versions'),
    packageDigest: 'package',
    zeroAdapter: zeroAdapter(first.engine.targets, 2, 1),
  });
  onTestFinished(() => versions.close());
  await versions.promote((await versions.adopt(candidate)).number);
  await first.stop();

  // This process was not told that the candidate became version 1, or that version 2 is a rollback to version 0.
  const second = startRunner(join(directory, 'learner'), experience, { liveVersion: 2, adapterPath: null });
  await second.until((event) => event.type === 'ready');
  await experience.add(round(2));
  second.runner.handle({ type: 'changed' });
  const next = await second.until(isCandidate);
  expect(next.metrics).toMatchObject({ rounds: 2, steps: 16 });
  const [best = 0] = await adapterProbabilities(second.engine, next.directory);
  const [alone = 0] = await adapterProbabilities(second.engine, versions.adapterPath(1) ?? '');
  expect(best).toBeCloseTo(alone, 1);
});

test('a damaged checkpoint is renamed and reported, and training begins from the live version', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  writeFileSync(join(directory, 'checkpoint.safetensors'), 'half a file');
  const { events, until } = startRunner(directory, experience);
  await until((event) => event.type === 'ready');
  expect(events[0]).toMatchObject({ type: 'failed', code: 'ADAPTER_INVALID' });
  expect(readdirSync(directory)).toContain('checkpoint.safetensors.damaged');
});

test('gradients that are not finite end the round, and after three such rounds the learner halts', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, until, events, stop } = startRunner(directory, experience);
  engine.poisoned = true;
  const setback = async (number: number): Promise<LearnerEvent> => {
    const heard = events.length;
    await experience.add(round(number));
    runner.handle({ type: 'changed' });
    return until((event) => event.type === 'setback', heard);
  };
  expect(await setback(1)).toMatchObject({
    check: 'dropped',
    liveVersion: 0,
    numbers: { dropped_steps: 5, in_a_row: 1, rounds: 1 },
  });
  await setback(2);
  expect(events.filter(isHalted)).toEqual([]);
  const last = await setback(3);
  expect(last).toMatchObject({ message: expect.stringContaining('nothing more is learned until') });
  expect(events.findLast(({ type }) => type === 'progress')).toMatchObject({
    progress: { state: 'halted', setbacks: 3, haltedBecause: expect.stringContaining('5 steps in a row') },
  });
  expect(events.some(isCandidate)).toBe(false);

  // Neither scores nor a restart make it go on.
  engine.poisoned = false;
  const batches = engine.passes.length;
  await experience.add(round(4));
  runner.handle({ type: 'changed' });
  await stop();
  expect(engine.passes.length).toBe(batches);
  const second = startRunner(directory, experience);
  await second.until(isHalted);
  second.runner.handle({ type: 'go_on' });
  const candidate = await second.until(isCandidate);
  expect(candidate.metrics).toMatchObject({ rounds: 4 });
});

test('weights other than those recorded for the live version are refused, even if their files are whole', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startRunner(join(directory, 'learner'), experience);
  await experience.add(round(1));
  first.runner.handle({ type: 'changed' });
  const { directory: adapterPath, adapterDigest } = await first.until(isCandidate);
  await cp(adapterPath, join(directory, 'swapped'), { recursive: true });
  const live = { type: 'live', version: 1, rolledBack: true, adapterPath: join(directory, 'swapped') } as const;
  first.runner.handle({ ...live, adapterDigest: 'of other weights' });
  await expect(first.finished).rejects.toMatchObject({
    code: 'ADAPTER_INVALID',
    message: expect.stringContaining(adapterDigest),
  });
});

test('a learner that starts after a rollback gives up what it had offered beyond that version', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startRunner(join(directory, 'learner'), experience);
  await experience.add(round(1));
  first.runner.handle({ type: 'changed' });
  const candidate = await first.until(isCandidate);
  const { adapter } = await readAdapter(candidate.directory);
  const from = first.events.length;
  await experience.add(round(2));
  first.runner.handle({ type: 'changed' });
  await first.until(isCandidate, from);
  await first.stop();

  // Both candidates became versions, and version 3 is a rollback to the first.
  const { directory: adapterPath0, adapterDigest } = candidate;
  const head = { liveVersion: 3, adapterPath: adapterPath0, adapterDigest, rolledBack: true };
  await cp(join(directory, 'learner', 'candidates'), join(directory, 'kept'), { recursive: true });
  const adapterPath = candidate.directory.replace(join('learner', 'candidates'), 'kept');
  const second = startRunner(join(directory, 'learner'), experience, { ...head, adapterPath });
  await second.until((event) => event.type === 'ready');
  await second.stop();
  const parameters = async () =>
    (await readCheckpoint(join(directory, 'learner', 'checkpoint.safetensors')))?.parameters;
  expect(await parameters()).toEqual(new Map(adapter.tensors));

  // Under the same live version, the weights that were learned since go on.
  const third = startRunner(join(directory, 'learner'), experience, { ...head, adapterPath });
  await experience.add(round(3));
  third.runner.handle({ type: 'changed' });
  await third.until(isCandidate);
  await third.stop();
  const learned = await parameters();
  const fourth = startRunner(join(directory, 'learner'), experience, { ...head, adapterPath });
  await fourth.until((event) => event.type === 'ready');
  await fourth.stop();
  expect(await parameters()).toEqual(learned);
});

test('a candidate lists what it has learned from since the live version, also after a restart', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startRunner(directory, experience);
  await experience.add(round(1));
  first.runner.handle({ type: 'changed' });
  const ids = (number: number) => round(number).map(({ id }) => id);
  const one = await first.until(isCandidate);
  expect([...one.lessons].sort()).toEqual(ids(1).sort());
  await first.stop();

  const second = startRunner(directory, experience);
  await second.until((event) => event.type === 'ready');
  await experience.add(round(2));
  second.runner.handle({ type: 'changed' });
  const two = await second.until(isCandidate);
  expect(new Set(two.lessons)).toEqual(new Set([...ids(1), ...ids(2)]));

  // The candidate is live now, so the next lessons begin after it.
  const heard = second.events.length;
  second.runner.handle({
    type: 'live',
    version: 1,
    adapterPath: two.directory,
    adapterDigest: two.adapterDigest,
    rolledBack: false,
  });
  await experience.add(round(3));
  second.runner.handle({ type: 'changed' });
  const three = await second.until(isCandidate, heard);
  expect(three.lessons).toEqual(expect.arrayContaining(ids(3)));
  expect(two.lessons).not.toEqual(expect.arrayContaining(ids(3)));
  expect(three.parent).toBe(1);
});

test('generations that were removed from the store are in no file of the learner', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, until, events, stop } = startRunner(directory, experience);
  await experience.add(round(1));
  runner.handle({ type: 'changed' });
  await until(isCandidate);
  writeFileSync(join(directory, 'checkpoint.safetensors.damaged'), 'an older state with the id 1-0');
  const database = new Database(experience.path, { access: 'write', busyTimeoutMs: 5000 });
  database.exec("DELETE FROM generations WHERE id = '1-0'; INSERT INTO changes (type) VALUES ('removed');");
  database.close();
  const heard = events.length;
  runner.handle({ type: 'changed' });
  await experience.add(round(2));
  runner.handle({ type: 'changed' });
  const next = await until(isCandidate, heard);
  expect(next.lessons).not.toContain('1-0');
  expect(next.lessons).toContain('1-1');
  await stop();
  expect(readdirSync(directory)).not.toContain('checkpoint.safetensors.damaged');
  expect(readFileSync(join(directory, 'checkpoint.safetensors')).includes('"1-0"')).toBe(false);
});

test('a learner that is told to relearn learns once more from everything that is left', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, until, events } = startRunner(directory, experience);
  await experience.add(round(1));
  runner.handle({ type: 'changed' });
  await until(isCandidate);
  expect(engine.passes).toHaveLength(8);
  const heard = events.length;
  runner.handle({ type: 'live', version: 1, adapterPath: null, adapterDigest: '', rolledBack: true });
  runner.handle({ type: 'relearn', number: 1 });
  const again = await until(isCandidate, heard);
  expect(engine.passes).toHaveLength(16);
  expect(again.parent).toBe(1);
  expect(new Set(again.lessons).size).toBe(12);
});

test('a learner that is stopped before it relearns reports that it will, and the next process does', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startRunner(directory, experience);
  await experience.add(round(1));
  first.runner.handle({ type: 'changed' });
  await first.until(isCandidate);
  first.runner.handle({ type: 'relearn', number: 1 });
  await first.stop();
  expect(first.events.map(({ type }) => type)).toContain('relearned');
  // Nobody scores anything meanwhile: all that it learns from was seen by a round before.
  const second = startRunner(directory, experience);
  const again = await second.until(isCandidate);
  expect(new Set(again.lessons).size).toBe(12);
});

test('preferences alone teach what to prefer, and a stopped round goes on where it was', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const prompts = Array.from({ length: 60 }, (_, i) => `p${i}`);
  await experience.add(
    prompts.flatMap((group) => [0, 2].map((arm) => ({ id: `${group}-${arm}`, group, tokens: [arm] }))),
  );
  await experience.store.write(prompts.map((group) => preferenceWrite(`${group}-0`, `${group}-2`, 'better')));
  const whole = startRunner(join(directory, 'whole'), experience);
  const candidate = await whole.until(isCandidate);
  const [best = 0, , worst = 1] = await adapterProbabilities(whole.engine, candidate.directory);
  expect(best).toBeGreaterThan(1.5 * worst);
  expect(candidate.metrics).not.toHaveProperty('mean_reward');

  const first = startRunner(join(directory, 'parts'), experience);
  await first.until((event) => event.type === 'progress' && event.progress.state === 'training');
  await first.stop();
  expect(first.events.some(isCandidate)).toBe(false);
  const second = startRunner(join(directory, 'parts'), experience);
  const resumed = await second.until(isCandidate);
  expect(resumed.adapterDigest).toBe(candidate.adapterDigest);
});

test('a default reward is learned from when its window closes, without any other event', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const reward = checkRewardSettings({ metrics: { click: { windowMs: 50, default: 0 } } });
  const now = Date.now();
  await experience.add(round(1).map(({ reward: _, ...sample }) => ({ ...sample, finishedAtMs: now })));
  await experience.store.write(round(1, 2).map(({ id }) => scoreWrite(id, 1, { metric: 'click' })));
  const { until } = startRunner(directory, experience, { reward });
  const candidate = await until(isCandidate);
  expect(candidate.metrics.mean_reward).toBeCloseTo(0.5, 1);
});

test('after an erasure of lessons the weights go back to the live version, and the rest may teach again', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, until, events, stop } = startRunner(directory, experience);
  await experience.add(round(1));
  runner.handle({ type: 'changed' });
  await until(isCandidate);
  // The erased data taught nothing, so the learner goes on.
  runner.handle({ type: 'erased' });
  await experience.add([{ id: 'other', group: 'other', tokens: [0], reward: 1 }]);
  const database = new Database(experience.path, { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => {
    database.close();
  });
  database.exec("DELETE FROM generations WHERE id = 'other'; INSERT INTO changes (type) VALUES ('removed');");
  runner.handle({ type: 'erased' });
  await experience.add(round(2));
  const heard = events.length;
  runner.handle({ type: 'changed' });
  expect((await until(isCandidate, heard)).lessons).toHaveLength(24);

  database.exec("DELETE FROM generations WHERE id = '1-0'; INSERT INTO changes (type) VALUES ('removed');");
  const after = events.length;
  runner.handle({ type: 'erased' });
  await until(isIdle, after);
  await stop();
  const checkpoint = await readCheckpoint(join(directory, 'checkpoint.safetensors'));
  expect(checkpoint?.state.uses).toEqual([]);
  expect(checkpoint?.state.lessons).toEqual([{ candidate: null, generationIds: [], incomplete: false }]);
  const b = checkpoint?.parameters.get('bandit.lora_B')?.data ?? [];
  expect([...b].every((value) => value === 0)).toBe(true);
});

/** Lets a learner make a candidate of one round, sends it a last command, and stops it. */
async function learnRound(
  { runner, until, stop }: ReturnType<typeof startRunner>,
  experience: Experience,
  lastCommand?: RunnerCommand,
): Promise<Candidate> {
  await experience.add(round(1));
  runner.handle({ type: 'changed' });
  const candidate = await until(isCandidate);
  if (lastCommand !== undefined) runner.handle(lastCommand);
  await stop();
  return candidate;
}

test('the next process gives up what was learned from data that was erased while no learner ran', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { directory: offered } = await learnRound(startRunner(directory, experience), experience);
  const state = async () => (await readCheckpoint(join(directory, 'checkpoint.safetensors')))?.state;
  expect((await state())?.uses).toHaveLength(12);

  const second = startRunner(directory, experience);
  await second.until((event) => event.type === 'ready');
  // A kill at this moment would lose nothing, and the candidate that the server may still hold is there.
  expect((await state())?.uses).toHaveLength(12);
  expect(readdirSync(offered)).not.toEqual([]);
  await second.stop();
  expect((await state())?.candidateDigests).toHaveLength(1);

  const database = new Database(experience.path, { access: 'write', busyTimeoutMs: 5000 });
  database.exec("DELETE FROM generations WHERE id = '1-0'; INSERT INTO changes (type) VALUES ('removed');");
  database.close();
  const third = startRunner(directory, experience);
  await third.until((event) => event.type === 'ready');
  await third.stop();
  expect(await state()).toMatchObject({
    uses: [],
    candidateDigests: [],
    lessons: [{ candidate: null, generationIds: [], incomplete: false }],
  });
  expect(existsSync(offered)).toBe(false);
});

test('lessons of weights that were given up while no learner ran may teach again', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  await learnRound(startRunner(directory, experience), experience);
  const second = startRunner(directory, experience, { liveVersion: 2, rolledBack: true });
  await second.until((event) => event.type === 'ready');
  await second.stop();
  expect((await readCheckpoint(join(directory, 'checkpoint.safetensors')))?.state.uses).toEqual([]);
});

test('a command to relearn that comes just before the stop is carried out', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  await learnRound(startRunner(directory, experience), experience, { type: 'relearn', number: 1 });
  expect((await readCheckpoint(join(directory, 'checkpoint.safetensors')))?.state.uses).toEqual([]);
});

test('a halted learner that is told to go on and then to stop is not halted when it starts again', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const { runner, engine, until, events, stop } = startRunner(directory, experience);
  engine.poisoned = true;
  for (const number of [1, 2, 3]) {
    const heard = events.length;
    await experience.add(round(number));
    runner.handle({ type: 'changed' });
    await until((event) => event.type === 'setback', heard);
  }
  expect(events.some(isHalted)).toBe(true);
  runner.handle({ type: 'go_on' });
  await stop();
  const checkpoint = await readCheckpoint(join(directory, 'checkpoint.safetensors'));
  expect(checkpoint?.state.setbacks?.haltedBecause).toBeNull();
});
