/** `kill -9` of the learner while the server serves. `kill-storm.test.ts` kills the server, and both together. */

import { describe, expect, it } from 'vitest';
import { askAndScore, eagerLearner, playRound, playUntil, scoreForARound } from '../support/app.js';
import { childOf, gone } from '../support/processes.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

describe('kill -9 of the learner', () => {
  it('in the middle of a step disturbs no request, and the learner resumes from its checkpoint', async () => {
    await using server = await startServer({ args: eagerLearner });
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    await playUntil(client, 2);
    const before = await client.learnerStatus();
    const learner = await childOf(server.ready.pid);
    const killed = (async () => {
      for await (const event of client.watchEvents({ types: ['learner_state_changed'] })) {
        if (event.detail === 'training') return process.kill(learner, 'SIGKILL');
      }
      return false;
    })();
    await scoreForARound(client, 'amid a step');
    expect(await killed).toBe(true);
    await gone(learner);
    for (let i = 0; i < 4; i++) await askAndScore(client, `without a learner ${i}`);
    await until(async () => (await client.learnerStatus()).restarts === 1, 'the learner is started again');
    await playRound(client, 'with a learner again');
    const { live } = await client.status();
    await playUntil(client, live.number + 1);
    const after = await client.learnerStatus();
    expect(after.rounds).toBeGreaterThan(before.rounds);
    expect(after.steps).toBeGreaterThan(before.steps);
  });
});
