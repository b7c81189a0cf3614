/** Every attack that `bench/hostile` knows, and a long search for worse ones, on the default policy with its learner. */

import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { attacks } from '../../bench/hostile/attacks.js';
import { HostileServer } from '../support/hostile-server.js';
import { projectFolder } from '../support/server.js';
import { described, worstRequests } from '../support/worst-requests.js';

const searchMs = 10 * 60_000;
const args = ['--package', join(projectFolder, 'models/tldr'), '--learner', 'on'];

describe.each([
  ['without a token', false],
  ['with a token that the attacker does not know', true],
])('a server %s', (_, withToken) => {
  let victim: HostileServer;
  beforeAll(async () => {
    victim = await HostileServer.start({ args, withToken });
  });
  afterAll(() => victim[Symbol.asyncDispose]());

  const those = attacks.filter((attack) => (attack.withoutToken ?? false) === withToken).map(({ name }) => name);
  it.each(those)('does not let a health check wait long for the attack "%s"', (name) =>
    victim.expectHarmless(name, name),
  );

  it(
    'does not let a health check wait long for the worst requests that can be drawn',
    async () => {
      await fc.assert(
        fc.asyncProperty(worstRequests, (attack) => victim.expectHarmless(attack, described(attack))),
        { numRuns: 10_000, endOnFailure: true, interruptAfterTimeLimit: searchMs },
      );
    },
    2 * searchMs,
  );
});
