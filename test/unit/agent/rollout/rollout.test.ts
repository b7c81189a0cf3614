/** Where candidates go, by mode, by the rewards of canaries, by persons, and over restarts. */

import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AgentOptions } from '../../../../src/agent/agent-options.js';
import { checkCanarySettings } from '../../../../src/agent/rollout/canary-settings.js';
import type { Judge } from '../../../../src/agent/rollout/judge.js';
import { type Mode, openModeFile } from '../../../../src/agent/rollout/modes.js';
import { trialFile } from '../../../../src/agent/rollout/trial-file.js';
import { HoneError } from '../../../../src/errors.js';
import type { CheckName, Verdict } from '../../../../src/gate/types.js';
import type { CompletionEvent } from '../../../../src/policy/completion-events.js';
import type { CompletionRequest } from '../../../../src/policy/completion-request.js';
import { type Loop, type LoopOptions, openLoop } from '../../../support/agent/loop.js';
import { finished, started, token } from '../../../support/agent/scripted-policy.js';
import { temporaryFolder } from '../../../support/folders.js';
import { until as waitUntil } from '../../../support/until.js';

/** One token, at once, on the version that was asked for. */
async function* answers({ version = 0 }: CompletionRequest): AsyncGenerator<CompletionEvent> {
  yield { ...started, version } as CompletionEvent;
  yield token(0, 97);
  yield finished(0, 'stop');
}

const verdict = (passed: boolean, check: CheckName = 'kl'): Verdict => ({
  passed,
  checks: [{ check, outcome: passed ? 'passed' : 'failed', detail: 'measured', numbers: { nats: 2 } }],
});
const passAll: Judge = async () => verdict(true);

async function open(mode: Mode, agent: Partial<AgentOptions> = {}, over: LoopOptions = {}): Promise<Loop> {
  let chosen = mode;
  const modes = {
    get mode() {
      return chosen;
    },
    set: async (next: Mode) => {
      chosen = next;
    },
  };
  const settings = checkCanarySettings({ share: 0.5, minimum: 5 });
  const loop = await openLoop(
    answers,
    1000,
    {},
    {
      ...over,
      agent: { modes, judge: passAll, canary: settings, ...agent },
    },
  );
  onTestFinished(() => loop[Symbol.asyncDispose]());
  return loop;
}

/** Asks once; gives the generation's id and the version that answered. */
async function ask(loop: Loop, subject = '', over: object = {}): Promise<{ id: string; version: number }> {
  let result = { id: '', version: -1 };
  for await (const event of loop.agent.generate({ prompt: 'a', subject, ...over })) {
    if (event.type === 'started') result = { id: event.generationIds[0] ?? '', version: event.version };
  }
  return result;
}

/** Asks and scores by the version that answered, until the canary ends. */
async function play(loop: Loop, scoreOf: (version: number) => number): Promise<void> {
  const ended = loop.nextEvent('canary_ended');
  let over = false;
  void ended.then(() => {
    over = true;
  });
  for (let n = 0; !over && n < 2000; n++) {
    const { id, version } = await ask(loop, `subject ${n}`);
    await loop.agent.feedback([{ generationId: id, score: scoreOf(version) }]);
    await turn();
  }
}

const stateOf = (loop: Loop, number: number) => loop.versions.get(number)?.state;

const until = (condition: () => boolean | Promise<boolean>) => waitUntil(condition, `${condition}`, { everyMs: 1 });

/** Resolves once the candidate of that number has been judged and has gone its way. */
function settled(loop: Loop, number: number): Promise<void> {
  const judged = () => (loop.versions.get(number)?.verdict.length ?? 0) > 0;
  return until(() => judged() && loop.agent.rollout().judging === null);
}

describe('the gate', () => {
  it('is asked with the adapter, the figures and the live version, and its verdict is kept and told', async () => {
    const asked: unknown[] = [];
    const judge: Judge = async ({ version, adapter, metrics, live }) => {
      asked.push([version.number, adapter.rank, metrics, live]);
      return verdict(true);
    };
    const loop = await open('auto', { judge });
    await loop.offerCandidate(0.5, { steps: 3 });
    expect(await loop.nextEvent('version_judged')).toMatchObject({
      version: 1,
      detail: 'passed kl',
      numbers: { passed: 1, kl_nats: 2 },
    });
    await loop.nextEvent('version_promoted');
    expect(asked).toEqual([[1, 2, { steps: 3 }, 0]]);
    expect(loop.versions.live()).toMatchObject({ number: 1, verdict: verdict(true).checks });
  });

  it('that says no rejects the candidate with the reason, and the learner is taken back', async () => {
    const loop = await open('auto', { judge: async () => verdict(false) });
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({ version: 1, detail: 'kl: measured' });
    expect(loop.versions.get(1)).toMatchObject({ state: 'rejected', rejectedBecause: 'kl: measured' });
    expect(loop.learner.told).toEqual([`rejected ${loop.versions.get(1)?.adapterDigest}`]);
    expect(loop.agent.identity().version).toBe(0);
  });

  it('that cannot judge rejects too: nothing serves unjudged', async () => {
    const loop = await open('auto', {
      judge: () => Promise.reject(new HoneError('WORKER_CRASHED', 'it died')),
    });
    await loop.offerCandidate(0.5);
    expect((await loop.nextEvent('version_rejected')).detail).toContain('WORKER_CRASHED: it died');
    expect(stateOf(loop, 1)).toBe('rejected');
  });

  it('judges one at a time: of those that wait the newest wins, and the learner goes on from it', async () => {
    let pass = (_: Verdict): void => undefined;
    const first = new Promise<Verdict>((resolve) => {
      pass = resolve;
    });
    const loop = await open('auto', {
      judge: ({ version }) => (version.number === 1 ? first : passAll({} as never, {} as never)),
    });
    await loop.offerCandidate(0.1);
    const files = await loop.agent.exportVersion(0);
    await loop.agent.importVersion(files);
    await loop.agent.importVersion(files);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({ version: 2, detail: 'version 3 is newer' });
    expect(loop.agent.rollout()).toMatchObject({ judging: 1, waiting: 3 });
    await expect(loop.agent.promoteVersion(1)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
    await expect(loop.agent.promoteVersion(3)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
    pass(verdict(true));
    await loop.nextEvent('version_promoted');
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 3 });
    expect(loop.learner.told.filter((told) => told.startsWith('rejected'))).toEqual([]);
  });

  it('is offered one version for all that the learner made while it was busy, the last', async () => {
    let pass = (_: Verdict): void => undefined;
    const first = new Promise<Verdict>((resolve) => {
      pass = resolve;
    });
    const loop = await open('auto', {
      judge: ({ version }) => (version.number === 1 ? first : passAll({} as never, {} as never)),
    });
    for (const weight of [0.1, 0.2, 0.3, 0.4]) await loop.offerCandidate(weight);
    await until(() => loop.agent.rollout().judging === 1);
    expect(loop.versions.list()).toHaveLength(2);
    pass(verdict(true));
    await loop.nextEvent('version_promoted');
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 2 });
    expect(loop.versions.list()).toHaveLength(3);
    const [tensor] = (await loop.versions.readAdapter(2)).tensors.values();
    expect(tensor?.data[0]).toBeCloseTo(0.4);
  });

  it('whose candidate a person rejects meanwhile changes nothing any more', async () => {
    let pass = (_: Verdict): void => undefined;
    const judged = new Promise<Verdict>((resolve) => {
      pass = resolve;
    });
    const loop = await open('auto', { judge: () => judged });
    await loop.offerCandidate(0.1);
    await loop.nextEvent('version_created');
    await loop.agent.rejectVersion(1, 'I saw it');
    pass(verdict(true));
    await until(() => loop.agent.rollout().judging === null);
    expect(loop.versions.get(1)).toMatchObject({ state: 'rejected', rejectedBecause: 'I saw it', verdict: [] });
    expect(loop.policy.swaps).toEqual([]);
  });
});

describe('in mode apprentice', () => {
  it('a candidate waits for a person, who promotes it', async () => {
    const loop = await open('apprentice');
    await loop.offerCandidate(0.5);
    await settled(loop, 1);
    expect(loop.agent.identity().version).toBe(0);
    expect(await loop.agent.promoteVersion(1)).toMatchObject({ number: 1, state: 'live' });
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 1, detail: 'by a person' });
    await expect(loop.agent.promoteVersion(1)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
    await expect(loop.agent.rejectVersion(1, '')).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
    await expect(loop.agent.promoteVersion(9)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
  });

  it('or rejects it; the learner goes back only where no newer one of its waits', async () => {
    const loop = await open('apprentice');
    await loop.offerCandidate(0.5);
    await settled(loop, 1);
    await loop.offerCandidate(0.6);
    await settled(loop, 2);
    expect(await loop.agent.rejectVersion(1, '')).toMatchObject({ rejectedBecause: 'a person said so' });
    expect(loop.learner.told).toEqual([]);
    await loop.agent.rejectVersion(2, 'too curt');
    expect(loop.learner.told).toEqual([`rejected ${loop.versions.get(2)?.adapterDigest}`]);
  });
});

describe('in mode shadow', () => {
  it('a candidate answers single requests in the background, kept as such, and waits for a person', async () => {
    const loop = await open('shadow', { draw: () => 0 });
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('shadow_started')).toMatchObject({ version: 1, numbers: { share: 0.5 } });
    const requests: CompletionRequest[] = [];
    loop.policy.script = (request) => {
      requests.push(request);
      return answers(request);
    };
    expect((await ask(loop, 'someone')).version).toBe(0);
    await ask(loop, '', { n: 2 });
    await ask(loop, '', { version: 0 });
    await ask(loop, '', { store: false });
    await until(async () => (await loop.replay.status()).finished === 4);
    const shadowed = requests.filter(({ version }) => version === 1);
    expect(shadowed).toMatchObject([{ background: true, completions: [{}] }]);
    const [kept] = await loop.replay.readGenerations([shadowed[0]?.completions[0]?.id ?? '']);
    expect(kept).toMatchObject({ origin: 'shadow', version: 1, subject: 'someone', state: 'finished' });
    expect(loop.agent.rollout().trial).toMatchObject({ version: 1, state: 'shadow', answers: 1, canary: null });
    await loop.agent.promoteVersion(1);
    expect(await loop.nextEvent('shadow_ended')).toMatchObject({ detail: 'promoted: by a person' });
    expect(loop.policy.holds).toEqual(['hold 1', 'release 1']);
    expect(loop.versions.live().number).toBe(1);
  });

  it('gives way to a newer one', async () => {
    const loop = await open('shadow');
    await loop.offerCandidate(0.5);
    await settled(loop, 1);
    await loop.offerCandidate(0.6);
    await settled(loop, 2);
    expect(loop.versions.get(1)).toMatchObject({ state: 'rejected', rejectedBecause: 'version 2 is newer' });
    expect(stateOf(loop, 2)).toBe('shadow');
    expect(loop.policy.holds).toEqual(['hold 1', 'release 1', 'hold 2']);
    expect(loop.learner.told).toEqual([]);
  });
});

describe('in mode canary', () => {
  it('a subject stays on its side, others are drawn, and a request that names a version is left alone', async () => {
    const draws = [0.49, 0.51];
    const loop = await open('canary', { draw: () => draws.shift() ?? 0 });
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('canary_started')).toMatchObject({ version: 1, numbers: { share: 0.5, alpha: 0.05 } });
    const sides = new Map<string, number>();
    for (let n = 0; n < 40; n++) sides.set(`subject ${n}`, (await ask(loop, `subject ${n}`)).version);
    for (const [subject, version] of sides) expect((await ask(loop, subject)).version).toBe(version);
    const share = [...sides.values()].filter((version) => version === 1).length / 40;
    expect(share).toBeGreaterThan(0.25);
    expect(share).toBeLessThan(0.75);
    expect([(await ask(loop)).version, (await ask(loop)).version]).toEqual([1, 0]);
    for (const subject of sides.keys()) expect((await ask(loop, subject, { version: 0 })).version).toBe(0);
  });

  it('a bad one is rolled back by its rewards, and the learner taken back', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await play(loop, (version) => (version === 1 ? 0 : 1));
    expect(await loop.nextEvent('version_rejected')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('worse'),
    });
    await turn();
    expect(stateOf(loop, 1)).toBe('rejected');
    expect(loop.agent.identity().version).toBe(0);
    expect((await ask(loop, 'anyone')).version).toBe(0);
    expect(loop.learner.told).toContain(`rejected ${loop.versions.get(1)?.adapterDigest}`);
    expect(loop.policy.swaps).toEqual([]);
    expect(loop.policy.holds).toEqual(['hold 1', 'release 1']);
    expect(loop.agent.rollout().trial).toBeNull();
  });

  it('a good one is promoted by its rewards', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await play(loop, (version) => (version === 1 ? 1 : 0));
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 1 });
    expect(loop.versions.live().number).toBe(1);
    expect(loop.learner.told).toContain('live 1 adapter');
  });

  it('a generation counts once, with its first reward, and pinned ones and those from before never', async () => {
    const loop = await open('canary', { draw: () => 0 });
    const early = await ask(loop);
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    const counted = await ask(loop);
    const pinned = await ask(loop, '', { version: 1 });
    for (const score of [1, 0]) {
      for (const { id } of [early, counted, pinned]) await loop.agent.feedback([{ generationId: id, score }]);
    }
    const canary = () => loop.agent.rollout().trial?.canary;
    await until(() => canary()?.candidate.rewards === 1);
    for (let i = 0; i < 20; i++) await turn();
    expect(canary()).toMatchObject({
      live: { rewards: 0, meanReward: null },
      candidate: { rewards: 1, meanReward: 1 },
    });
    await loop.agent.feedback([{ generationId: counted.id, retraction: true }]);
    expect(canary()?.candidate.rewards).toBe(1);
  });

  it('a newer candidate waits, and goes with the canary that is rolled back, for it was trained on from it', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await loop.offerCandidate(0.6);
    await loop.agent.rejectVersion(1, 'bad');
    expect(loop.versions.list()).toHaveLength(2);
    expect(loop.agent.rollout()).toMatchObject({ trial: null, waiting: null, judging: null });
    expect(loop.learner.told.filter((told) => told.startsWith('rejected'))).toHaveLength(1);
  });

  it('a newer candidate that waits has its own canary once the one before it is live', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await loop.offerCandidate(0.6);
    await loop.agent.promoteVersion(1);
    expect(await loop.nextEvent('canary_started')).toMatchObject({ version: 2 });
    expect(loop.versions.live().number).toBe(1);
  });

  it('a rollback ends it, and so does another version that a person makes live', async () => {
    const loop = await open('apprentice');
    await loop.offerCandidate(0.5);
    await settled(loop, 1);
    await loop.agent.setMode('canary');
    await loop.offerCandidate(0.6);
    await loop.nextEvent('canary_started');
    await loop.agent.promoteVersion(1);
    expect(loop.versions.get(2)).toMatchObject({ state: 'rejected', rejectedBecause: 'version 1 went live instead' });
    await loop.offerCandidate(0.7);
    expect(await loop.nextEvent('canary_started')).toMatchObject({ version: 3 });
    await loop.agent.rollback(0);
    expect(loop.versions.get(3)).toMatchObject({
      state: 'rejected',
      rejectedBecause: expect.stringContaining('rolled back'),
    });
    expect(loop.agent.rollout().trial).toBeNull();
    expect(loop.policy.holds).toEqual(['hold 2', 'release 2', 'hold 3', 'release 3']);
  });

  it('one that the worker does not really hold is rejected', async () => {
    const loop = await open('canary');
    loop.policy.holdVerdict = 'failed';
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('probe'),
    });
    expect(loop.agent.rollout().trial).toBeNull();
    expect(loop.policy.holds).toEqual(['hold 1']);
  });

  it('one that stays undecided for too long is rolled back', async () => {
    const loop = await open('canary', { canary: checkCanarySettings({ maxDurationMs: 1 }) });
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('canary_ended')).toMatchObject({ detail: expect.stringContaining('undecided') });
    await loop.nextEvent('version_rejected');
    expect(stateOf(loop, 1)).toBe('rejected');
  });
});

describe('the mode', () => {
  it('takes the version on trial along when it changes', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    expect(await loop.agent.setMode('shadow')).toMatchObject({
      mode: 'shadow',
      trial: { version: 1, state: 'shadow' },
    });
    expect(await loop.nextEvent('mode_changed')).toMatchObject({ detail: 'shadow' });
    expect(await loop.agent.setMode('apprentice')).toMatchObject({ trial: null });
    expect(stateOf(loop, 1)).toBe('candidate');
    expect(loop.policy.holds.sort()).toEqual(['hold 1', 'hold 1', 'release 1', 'release 1']);
    await loop.agent.setMode('canary');
    await loop.offerCandidate(0.6);
    await loop.nextEvent('canary_started');
    await loop.agent.setMode('auto');
    expect(loop.versions.live().number).toBe(2);
  });

  it('is kept in a file, which a given one replaces and a damaged one is refused with the remedy', async () => {
    const { folder } = await open('auto');
    const path = join(folder, 'mode.json');
    expect((await openModeFile(path)).mode).toBe('auto');
    await (await openModeFile(path)).set('shadow');
    expect((await openModeFile(path)).mode).toBe('shadow');
    expect((await openModeFile(path, 'canary')).mode).toBe('canary');
    expect((await openModeFile(path)).mode).toBe('canary');
    for (const damaged of ['{"format":1,"mode":"autopilot"}', '{', '7']) {
      await writeFile(path, damaged);
      await expect(openModeFile(path)).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining('--mode'),
      });
    }
    expect((await openModeFile(path, 'auto')).mode).toBe('auto');
  });
});

describe('a restart', () => {
  /** Runs a canary, counts a few rewards, stops. */
  async function stopped(): Promise<{ folder: string }> {
    const folder = temporaryFolder();
    const loop = await open('canary', { trials: trialFile(join(folder, 'trial.json')) }, { folder });
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    const counted = () => {
      const canary = loop.agent.rollout().trial?.canary;
      return (canary?.live.rewards ?? 0) + (canary?.candidate.rewards ?? 0);
    };
    for (let n = 0; n < 6; n++) {
      const { id } = await ask(loop, `subject ${n}`);
      await loop.agent.feedback([{ generationId: id, score: 0.5 }]);
    }
    await until(() => counted() === 6);
    await loop[Symbol.asyncDispose]();
    return { folder };
  }

  it('goes on with a canary where it was', async () => {
    const { folder } = await stopped();
    const loop = await open('canary', { trials: trialFile(join(folder, 'trial.json')) }, { folder });
    expect(await loop.nextEvent('canary_started')).toMatchObject({ version: 1, detail: 'resumed with 6 rewards' });
    expect(loop.policy.holds).toEqual(['hold 1']);
    await play(loop, (version) => (version === 1 ? 1 : 0));
    await loop.nextEvent('version_promoted');
    expect(loop.versions.live().number).toBe(1);
  });

  it('without the file begins it anew; with another mode it goes that way', async () => {
    const first = await stopped();
    const again = await open('canary', {}, { folder: first.folder });
    expect(await again.nextEvent('canary_started')).toMatchObject({ detail: 'resumed with 0 rewards' });
    const second = await stopped();
    const loop = await open('auto', {}, { folder: second.folder });
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 1 });
  });

  it('that cannot hold the version on trial rejects it with the reason', async () => {
    const { folder } = await stopped();
    await rm(join(folder, 'versions', '000001'), { recursive: true });
    const loop = await open('canary', {}, { folder });
    expect(await loop.nextEvent('version_rejected')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('could not be resumed'),
    });
  });

  it('judges what was not judged yet, the newest of them', async () => {
    const folder = temporaryFolder();
    const never: Judge = (_, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const loop = await open('auto', { judge: never }, { folder });
    await loop.offerCandidate(0.5);
    await loop.agent.importVersion(await loop.agent.exportVersion(0));
    await until(() => loop.agent.rollout().waiting === 2);
    await loop[Symbol.asyncDispose]();
    expect([1, 2].map((number) => stateOf(loop, number))).toEqual(['candidate', 'candidate']);
    const again = await open('auto', {}, { folder });
    await again.nextEvent('version_promoted');
    await until(() => again.versions.live().number === 2);
    expect(again.versions.get(2)?.verdict).toHaveLength(1);
  });
});
