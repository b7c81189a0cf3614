/** How candidates go their way: by mode, by the rewards of canaries, by people, and over restarts. */

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
import { GatePace } from '../../../../src/gate/index.js';
import type { CheckName, Verdict } from '../../../../src/gate/types.js';
import type { CompletionEvent } from '../../../../src/policy/completion-events.js';
import type { CompletionRequest } from '../../../../src/policy/completion-request.js';
import { writeAdapter } from '../../../../src/versions/index.js';
import { type Loop, type LoopOptions, openLoop } from '../../../support/agent/loop.js';
import { finished, started, token } from '../../../support/agent/scripted-policy.js';
import { temporaryFolder } from '../../../support/folders.js';
import { admission } from '../../../support/replay/records.js';
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

/** Asks once; returns the generation's id and the version that answered. */
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

/** A gate that is still busy when the server stops. */
const never: Judge = (_, signal) =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

const until = (condition: () => boolean | Promise<boolean>) => waitUntil(condition, `${condition}`, { everyMs: 1 });

/** Resolves once the candidate of that number has been judged and has gone its way. */
function settled(loop: Loop, number: number): Promise<void> {
  const judged = () => (loop.versions.get(number)?.verdict.length ?? 0) > 0;
  return until(() => judged() && loop.agent.rollout().judging === null);
}

describe('the gate', () => {
  it('gets the adapter, the figures and the live version, and its verdict is stored and reported', async () => {
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

  it('rejects a candidate with the reason, and takes the learner back', async () => {
    const loop = await open('auto', { judge: async () => verdict(false) });
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('version_rejected')).toMatchObject({ version: 1, detail: 'kl: measured' });
    expect(loop.versions.get(1)).toMatchObject({ state: 'rejected', rejectedBecause: 'kl: measured' });
    expect(loop.learner.told).toEqual([`rejected ${loop.versions.get(1)?.adapterDigest}`]);
    expect(loop.agent.identity().version).toBe(0);
  });

  it('rejects a candidate that it cannot judge, so that none serves unjudged', async () => {
    const loop = await open('auto', {
      judge: () => Promise.reject(new HoneError('WORKER_CRASHED', 'it died')),
    });
    await loop.offerCandidate(0.5);
    expect((await loop.nextEvent('version_rejected')).detail).toContain('WORKER_CRASHED: it died');
    expect(stateOf(loop, 1)).toBe('rejected');
  });

  it('reports a judgement that gets too little of the policy, in an event and in the status, until it ends', async () => {
    let runs = { own: 0, others: 0, lost: 0 };
    const pace = new GatePace({
      policy: { status: async () => ({ ...(await loop.policy.status()), backgroundRuns: runs }) },
      lookEveryMs: null,
    });
    const loop = await open('auto', {
      gatePace: pace,
      judge: async ({ version }) => {
        const stop = pace.follow(version.number);
        for (let look = 0; look < 30; look++) {
          runs = { ...runs, own: runs.own + 1, others: runs.others + 19 };
          await pace.look();
        }
        const starvedBecause = expect.stringMatching(/^the gate gets 5 % /);
        expect(loop.agent.rollout()).toMatchObject({
          judging: 1,
          pace: { share: expect.closeTo(0.05), starvedBecause },
        });
        stop();
        return verdict(true);
      },
    });
    await loop.offerCandidate(1);
    expect(await loop.nextEvent('gate_starved')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('send fewer requests'),
      numbers: { model_share: expect.closeTo(0.05), completions: 0, gave_way: 0 },
    });
    expect(await loop.nextEvent('starvation_ended')).toMatchObject({
      version: 1,
      detail: expect.stringMatching(/^gate: /),
    });
    await settled(loop, 1);
    expect(loop.agent.rollout()).toMatchObject({ pace: { share: null, starvedBecause: null } });
  });

  it('judges one candidate at a time, and of those that wait the newest stays and the learner goes on from it', async () => {
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

  it('gets one version for all that the learner offered while the gate was busy: the last one', async () => {
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

  it('changes nothing if a person has rejected the candidate meanwhile', async () => {
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

describe('the mode apprentice', () => {
  it('lets a candidate wait for a person, who promotes it', async () => {
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

  it('lets a person reject a candidate, and the learner goes back only if no newer one of its own waits', async () => {
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

describe('the mode shadow', () => {
  it('lets a candidate answer single requests in the background, stored as such, until a person decides', async () => {
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

  it('ends the shadow of a candidate for a newer candidate', async () => {
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

describe('the mode canary', () => {
  it('keeps a subject on its side, draws the others, and leaves a request alone that names a version', async () => {
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

  it('rolls a bad candidate back by its rewards, and takes the learner back', async () => {
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

  it('reports a decision of a canary that cannot be carried out', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    loop.versions.reject = () => Promise.reject(new HoneError('STORE_FULL', 'the disk is full'));
    await play(loop, (version) => (version === 1 ? 0 : 1));
    expect(await loop.nextEvent('version_failed')).toMatchObject({
      version: 1,
      detail: expect.stringMatching(/its canary has ended.*STORE_FULL: the disk is full/),
    });
    expect(stateOf(loop, 1)).toBe('canary');
    expect(loop.agent.rollout().trial).toBeNull();
  });

  it('promotes a good candidate by its rewards', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await play(loop, (version) => (version === 1 ? 1 : 0));
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 1 });
    expect(loop.versions.live().number).toBe(1);
    expect(loop.learner.told).toContain('live 1 adapter');
  });

  it('counts a generation once, with its first reward, and never one that named a version or is from before', async () => {
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

  it('drops a newer offer together with a canary that is rolled back, because it was trained on from it', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await loop.offerCandidate(0.6);
    await loop.agent.rejectVersion(1, 'bad');
    expect(loop.versions.list()).toHaveLength(2);
    expect(loop.agent.rollout()).toMatchObject({ trial: null, waiting: null, judging: null });
    expect(loop.learner.told.filter((told) => told.startsWith('rejected'))).toHaveLength(1);
  });

  it('starts a canary of a newer candidate once the one before it is live', async () => {
    const loop = await open('canary');
    await loop.offerCandidate(0.5);
    await loop.nextEvent('canary_started');
    await loop.offerCandidate(0.6);
    await loop.agent.promoteVersion(1);
    expect(await loop.nextEvent('canary_started')).toMatchObject({ version: 2 });
    expect(loop.versions.live().number).toBe(1);
  });

  it('ends a canary at a rollback, and when a person makes another version live', async () => {
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

  it('judges an import that waits for the canary when a rollback ends the canary', async () => {
    const loop = await open('apprentice');
    await loop.offerCandidate(0.5);
    await settled(loop, 1);
    await loop.agent.promoteVersion(1);
    await loop.agent.setMode('canary');
    await loop.offerCandidate(0.6);
    await loop.nextEvent('canary_started');
    await loop.agent.importVersion(await loop.agent.exportVersion(0));
    expect(loop.agent.rollout()).toMatchObject({ judging: null, waiting: 3 });
    await loop.agent.rollback(0);
    expect(await loop.nextEvent('version_judged')).toMatchObject({ version: 3 });
  });

  it('rejects a candidate that the worker does not really hold', async () => {
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

  it('rolls back a candidate that stays undecided for too long', async () => {
    const loop = await open('canary', { canary: checkCanarySettings({ maxDurationMs: 1 }) });
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('canary_ended')).toMatchObject({ detail: expect.stringContaining('undecided') });
    await loop.nextEvent('version_rejected');
    expect(stateOf(loop, 1)).toBe('rejected');
  });
});

describe('a change of the mode', () => {
  it('lets the version on trial go the way of the new mode', async () => {
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

  it('is kept in a file, is replaced by a given mode, and a damaged file is refused with the remedy', async () => {
    const { folder } = await open('auto');
    const path = join(folder, 'mode.json');
    expect((await openModeFile(path)).mode).toBe('auto');
    await (await openModeFile(path)).set('shadow');
    expect((await openModeFile(path)).mode).toBe('shadow');
    expect((await openModeFile(path, { given: 'canary' })).mode).toBe('canary');
    expect((await openModeFile(path)).mode).toBe('canary');
    for (const damaged of ['{"format":1,"mode":"autopilot"}', '{', '7']) {
      await writeFile(path, damaged);
      await expect(openModeFile(path)).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining('--mode'),
      });
    }
    expect((await openModeFile(path, { given: 'auto' })).mode).toBe('auto');
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

  it('goes on with a canary where it stopped', async () => {
    const { folder } = await stopped();
    const loop = await open('canary', { trials: trialFile(join(folder, 'trial.json')) }, { folder });
    expect(await loop.nextEvent('canary_started')).toMatchObject({ version: 1, detail: 'resumed with 6 rewards' });
    expect(loop.policy.holds).toEqual(['hold 1']);
    await play(loop, (version) => (version === 1 ? 1 : 0));
    await loop.nextEvent('version_promoted');
    expect(loop.versions.live().number).toBe(1);
  });

  it('begins a canary again without its file, and lets it go the way of another mode', async () => {
    const first = await stopped();
    const again = await open('canary', {}, { folder: first.folder });
    expect(await again.nextEvent('state_rebuilt')).toMatchObject({
      version: 1,
      detail: expect.stringMatching(/trial\.json.*the canary begins again/),
    });
    expect(await again.nextEvent('canary_started')).toMatchObject({ detail: 'resumed with 0 rewards' });
    const second = await stopped();
    const loop = await open('auto', {}, { folder: second.folder });
    expect(await loop.nextEvent('canary_ended')).toMatchObject({ version: 1, detail: 'the mode is auto now' });
    expect(await loop.nextEvent('version_promoted')).toMatchObject({ version: 1 });
  });

  it('rejects the version on trial, with the reason, if it cannot be held', async () => {
    const { folder } = await stopped();
    await rm(join(folder, 'versions', '000001'), { recursive: true });
    const loop = await open('canary', {}, { folder });
    expect(await loop.nextEvent('version_rejected')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('could not be resumed'),
    });
  });

  it('rejects a candidate that the gate had refused before the restart', async () => {
    const folder = temporaryFolder();
    const loop = await open('auto', { judge: async () => verdict(false) }, { folder });
    loop.versions.reject = () => Promise.reject(new HoneError('STORE_FULL', 'the disk is full'));
    await loop.offerCandidate(0.5);
    expect(await loop.nextEvent('version_failed')).toMatchObject({
      version: 1,
      detail: expect.stringContaining('STORE_FULL: the disk is full'),
    });
    expect(loop.versions.get(1)).toMatchObject({ state: 'candidate', verdict: [{ outcome: 'failed' }] });
    await loop[Symbol.asyncDispose]();
    const again = await open('auto', {}, { folder });
    expect(await again.nextEvent('version_rejected')).toMatchObject({ version: 1, detail: 'kl: measured' });
    expect(again.versions.live().number).toBe(0);
  });

  it('rejects a candidate whose lessons the store does not know, and keeps its adapter', async () => {
    const folder = temporaryFolder();
    const loop = await open('auto', {}, { folder });
    const { packageDigest } = loop.versions.live();
    const directory = join(folder, 'made');
    const meta = { packageDigest, baseModel: 'scripted', parent: 0, createdAtMs: 1, metrics: {} };
    const adapterDigest = await writeAdapter(directory, await loop.versions.readAdapter(0), meta);
    // A kill can come after the version's line and before the store has its lessons.
    await loop.versions.adopt({ directory, adapterDigest, parent: 0, metrics: {}, lessons: ['a generation'] });
    await loop[Symbol.asyncDispose]();
    const again = await open('auto', {}, { folder });
    expect(await again.nextEvent('version_rejected')).toMatchObject({
      version: 1,
      detail: 'the store does not know what it was learned from',
    });
    // A mode is set after all steps of the start.
    await again.agent.setMode('apprentice');
    expect(again.versions.get(1)).toMatchObject({ state: 'rejected' });
    await again.versions.readAdapter(1);
  });

  it('judges the candidate that was being judged, and after it the newest that waited', async () => {
    const folder = temporaryFolder();
    const loop = await open('auto', { judge: never }, { folder });
    await loop.replay.admit([admission('a')]);
    await loop.offerCandidate(0.5, {}, 0, ['a']);
    await loop.agent.importVersion(await loop.agent.exportVersion(0));
    await until(() => loop.agent.rollout().waiting === 2);
    await loop[Symbol.asyncDispose]();
    expect([1, 2].map((number) => stateOf(loop, number))).toEqual(['candidate', 'candidate']);
    const again = await open('auto', {}, { folder });
    await again.nextEvent('version_promoted');
    await until(() => again.versions.live().number === 2);
    expect([1, 2].map((number) => again.versions.get(number)?.verdict.length)).toEqual([1, 1]);
    expect(stateOf(again, 1)).toBe('retired');
  });
});
