/** How the agent reacts when the learner finds the live version out of bounds. */

import { expect, it, onTestFinished } from 'vitest';
import type { Mode } from '../../../../src/agent/rollout/modes.js';
import type { GuardCheck } from '../../../../src/learner/round/guard.js';
import { type Loop, openLoop } from '../../../support/agent/loop.js';
import { finished, started, token } from '../../../support/agent/scripted-policy.js';

/** Opens a loop whose second learned version is live. */
async function open(mode: Mode = 'auto'): Promise<Loop> {
  let chosen: Mode = 'auto';
  const modes = {
    get mode() {
      return chosen;
    },
    set: async (next: Mode) => {
      chosen = next;
    },
  };
  const answers = async function* () {
    yield started;
    yield token(0, 97);
    yield finished(0, 'stop');
  };
  const loop = await openLoop(answers, 1000, {}, { agent: { modes } });
  onTestFinished(() => loop[Symbol.asyncDispose]());
  for (const weight of [0.1, 0.2]) {
    await loop.offerCandidate(weight);
    await loop.nextEvent('version_promoted');
  }
  await loop.agent.setMode(mode);
  return loop;
}

async function setback(loop: Loop, check: GuardCheck, liveVersion = 2): Promise<void> {
  const numbers = { kl_nats: 186, bound: 10 };
  loop.learner.emit({ type: 'setback', check, liveVersion, message: 'too far out', numbers });
  expect(await loop.nextEvent('learner_setback')).toMatchObject({
    version: liveVersion,
    detail: 'too far out',
    numbers,
  });
}

it('rolls a live version that is out of bounds back to the version that it was trained from', async () => {
  const loop = await open();
  await setback(loop, 'live');
  expect(await loop.nextEvent('version_rolled_back')).toMatchObject({ version: 3 });
  expect(loop.versions.live()).toMatchObject({ number: 3, origin: 'rollback', parent: 1 });
  expect(loop.learner.told.at(-1)).toBe('live 3 adapter rolled back');
});

it.each([
  ['training alone was out of bounds', 'auto', 'moved', 2],
  ['another version has gone live meanwhile', 'auto', 'live', 1],
  ['a person decides what serves', 'apprentice', 'live', 2],
] as const)('leaves the live version alone if %s', async (_, mode, check, liveVersion) => {
  const loop = await open(mode);
  await setback(loop, check, liveVersion);
  await loop.agent.close();
  expect(loop.versions.live().number).toBe(2);
});
