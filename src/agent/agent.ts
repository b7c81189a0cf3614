/** The agent: what the doors may ask of the loop, put together from its parts. */

import type { AgentOptions } from './agent-options.js';
import { answering } from './answering.js';
import { connectLoop, type Loop } from './connect-loop.js';
import { dataControl } from './data-control.js';
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
    status: async () => ({ ...(await readStatus(loop)), startedAtMs, learner: learner.learnerStatus() }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readStatus(loop: Loop): Promise<Omit<AgentStatus, 'startedAtMs' | 'learner'>> {
  const { policy, replay, versions, pkg, closing, exploration, reward, raters, liveVersion, rollout } = loop;
  const [serving, stored] = await Promise.all([policy.status(), replay.status()]);
  return {
    packageName: pkg.name,
    draining: closing.hasBegun,
    live: versions.live(),
    serving,
    replay: stored,
    exploration: exploration.status,
    reward,
    raters: raters.map(({ status }) => status),
    lastSwap: liveVersion.lastSwap,
    rollout: rollout.status(),
  };
}

async function closeLoop(loop: Loop): Promise<void> {
  const { closing, events, exploration, requests, raters, rollout, liveVersion, drainGraceMs = 10_000 } = loop;
  closing.begin();
  events.publish({ type: 'server_draining' });
  await exploration.close();
  await requests.drain(drainGraceMs);
  for (const rater of raters) await rater.close();
  await rollout.close();
  await liveVersion.close();
  events.close();
}
