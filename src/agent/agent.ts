/** The agent: what the doors may ask of the loop, put together from its parts. */

import type { AgentOptions } from './agent-options.js';
import { answering } from './answering.js';
import { connectLoop, type Loop } from './connect-loop.js';
import { dataControl } from './data-control.js';
import { describeScoresOutside, findScoresOutside, type ScoresOutside } from './feedback/stored-ranges.js';
import { generations } from './generations.js';
import type { Agent, AgentStatus } from './interface.js';
import { learnerControl } from './learner-control.js';
import { versionControl } from './version-control.js';

/** The caller keeps owning what the options name, and closes it after the agent. */
export function createAgent(options: AgentOptions): Agent {
  const loop = connectLoop(options);
  const { events, liveVersion, now } = loop;
  const startedAtMs = now();
  const learner = learnerControl(loop);
  const scoresOutside = reportScoresOutside(loop);
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= closeLoop(loop);
    return closed;
  };
  return {
    ...answering(loop),
    ...generations(loop),
    ...versionControl(loop),
    ...dataControl(loop),
    ...learner,
    watchEvents: (watched, signal) => events.watch(watched, signal),
    lastEvent: () => events.lastSequence,
    identity: () => liveVersion.identity,
    raters: () => loop.raters.map(({ status }) => status),
    status: async () => ({
      ...(await readStatus(loop)),
      startedAtMs,
      learner: learner.learnerStatus(),
      scoresOutsideRange: await scoresOutside,
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readStatus(loop: Loop): Promise<Omit<AgentStatus, 'startedAtMs' | 'learner' | 'scoresOutsideRange'>> {
  const { policy, storeOutage, versions, pkg, closing, exploration, reward, raters, liveVersion, rollout } = loop;
  const [serving, [replay, replayFailure]] = await Promise.all([policy.status(), storeOutage.status()]);
  return {
    packageName: pkg.name,
    draining: closing.hasBegun,
    live: versions.live(),
    serving,
    replay,
    replayFailure,
    exploration: exploration.status,
    reward,
    raters: raters.map(({ status }) => status),
    lastSwap: liveVersion.lastSwap,
    rollout: rollout.status(),
  };
}

/** Publishes which stored scores do not count. It never rejects: without an answer of the store, it finds none. */
async function reportScoresOutside({ replay, reward, events }: Loop): Promise<readonly ScoresOutside[]> {
  const found = await findScoresOutside(replay, reward).catch(() => []);
  if (found.length > 0) {
    const scores = found.reduce((sum, one) => sum + one.scores, 0);
    events.publish({ type: 'scores_ignored', detail: describeScoresOutside(found), numbers: { scores } });
  }
  return found;
}

async function closeLoop(loop: Loop): Promise<void> {
  const { closing, events, exploration, requests, raters, erasure, rollout, liveVersion, storeOutage } = loop;
  const { drainGraceMs = 10_000 } = loop;
  closing.begin();
  events.publish({ type: 'server_draining' });
  await exploration.close();
  await requests.drain(drainGraceMs);
  for (const rater of raters) await rater.close();
  storeOutage.close();
  await erasure.close();
  await rollout.close();
  await liveVersion.close();
  events.close();
}
