/** kill -9 of the learner while the server serves; both and the server alone are in `kill-storm.test.ts`. */

import { describe, expect, it } from 'vitest';
import { askAndScore, childrenOf, eagerLearner, playUntil } from '../support/app.js';
import { isAlive, startServer, until } from '../support/server.js';

describe('kill -9 of the learner', () => {
  it('amid a step disturbs no request; it resumes from its checkpoint and the loop goes on', async () => {
    await using server = await startServer({ args: eagerLearner });
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    await playUntil(client, 2);
    const before = await client.learnerStatus();
    const [learner = 0] = childrenOf(server.ready.pid);
    let training = false;
    const watching = (async () => {
      for await (const event of client.watchEvents()) {
        if (event.type === 'learner_state_changed' && event.detail === 'training') {
          process.kill(learner, 'SIGKILL');
          training = true;
          return;
        }
      }
    })();
    let asked = 0;
    while (!training) {
      await askAndScore(client, `amid a step ${asked++}`);
    }
    await watching;
    await until(() => !isAlive(learner), 'the learner is dead');
    for (let i = 0; i < 4; i++) await askAndScore(client, `without a learner ${i}`);
    await until(async () => (await client.learnerStatus()).restarts === 1, 'the learner is started again');
    const { live } = await client.status();
    await playUntil(client, live.number + 1);
    // That one may have been made before the kill.
    let after = await client.learnerStatus();
    for (let i = 0; after.rounds <= before.rounds; i++) {
      await askAndScore(client, `with a learner ${i}`);
      after = await client.learnerStatus();
    }
    expect(after.steps).toBeGreaterThan(before.steps);
  });
});
