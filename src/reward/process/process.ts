/**
 * Entry of a reward process: a child of the server that runs one reward model or one user's function. `supervised.ts`
 * starts it. It runs at the lowest priority, so that traffic comes first, and ends when its channel closes.
 */

import { HoneError } from '../../errors.js';
import { takeLowestPriority } from '../../process/priority.js';
import { loadRewardFunction, type RewardFunction } from '../function/index.js';
import { reasonOf } from '../function/reason.js';
import { checkScores, type ScoreScale } from './check-scores.js';
import type { RewardCommand, RewardEvent, RewardProgram } from './messages.js';

// It does not run only when idle, because a batch has a time limit, which a process without any core would miss.
takeLowestPriority();
process.once('disconnect', () => process.exit(0));

let opened: { readonly score: RewardFunction; readonly scale: ScoreScale } | undefined;

process.on('message', (command: RewardCommand) => {
  if (command.type === 'start') {
    open(command.program).then(
      (score) => {
        opened = { score, scale: command.scale };
        send({ type: 'ready' });
      },
      (thrown: unknown) => send({ type: 'refused', error: HoneError.from(thrown).toJSON() }, () => process.exit(1)),
    );
    return;
  }
  const { id, items } = command;
  // Inside a promise, so that an error thrown at once, or by an answer that is looked at, is handled like a rejection.
  Promise.resolve()
    .then(async () => {
      if (opened === undefined) throw new HoneError('INTERNAL', 'was asked before it was ready');
      const answer = checkScores(await opened.score(items), items.length, opened.scale);
      send({ type: 'answered', id, answer });
    })
    .catch((thrown: unknown) => send({ type: 'failed', id, message: reasonOf(thrown) }));
});

async function open(program: RewardProgram): Promise<RewardFunction> {
  if (program.type === 'function') return loadRewardFunction(program.module);
  // Loaded only if needed, because onnxruntime takes a second to load.
  const { openRewardModel } = await import('../model/index.js');
  const model = await openRewardModel(program.directory, { threads: program.threads });
  return (items) => model.score(items);
}

function send(event: RewardEvent, then?: () => void): void {
  if (process.connected) process.send?.(event, undefined, undefined, () => then?.());
  else then?.();
}
