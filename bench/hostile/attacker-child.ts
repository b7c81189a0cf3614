/** The process of the attacker. It prepares some generations first, which it may then score and edit. */

import { setMaxListeners } from 'node:events';
import { connect } from '../../client/index.js';
import { Target } from './attack.js';
import type { AttackerReply, AttackerTask } from './attacker.js';
import { attackNamed } from './attacks.js';
import { customAttack } from './custom-attack.js';

let generationIds: readonly string[] = [];

/** Asks for completions as an app would, so that there is something to attack, and the server is warm. */
async function prepare(address: string): Promise<void> {
  const hone = await connect({ address });
  const ids: string[] = [];
  for (let i = 0; i < 8; i++) {
    const { completions } = await hone.generate({ prompt: `once upon ${i}`, n: 4, maxTokens: 8, ignoreEos: true });
    ids.push(...completions.map(({ generationId }) => generationId));
    await hone.feedback(completions.map(({ generationId }) => ({ generationId, score: 0.5, rater: 'warm' })));
    await hone.status();
  }
  hone.close();
  generationIds = ids;
}

async function attack({ attack: chosen, address, metricsUrl, forMs }: AttackerTask & { type: 'attack' }) {
  const one = typeof chosen === 'string' ? attackNamed(chosen) : customAttack(chosen);
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const timer = setTimeout(() => over.abort(), forMs);
  const target = new Target(address, metricsUrl, generationIds, over.signal);
  let rounds = 0;
  const startedAt = performance.now();
  do {
    await one.round(target);
    rounds += 1;
  } while (performance.now() - startedAt < forMs);
  clearTimeout(timer);
  target.close();
  return { type: 'attacked', rounds, outcomes: target.outcomes } as const;
}

async function perform(task: AttackerTask): Promise<AttackerReply> {
  if (task.type === 'attack') return attack(task);
  await prepare(task.address);
  return { type: 'prepared' };
}

process.on('message', (task: AttackerTask) => {
  perform(task).then(
    (reply) => process.send?.(reply),
    (error: unknown) =>
      process.send?.({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
