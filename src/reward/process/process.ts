/**
 * Entry of a reward process: a child of the server, started by `supervised.ts`, that holds one reward model or one
 * user's function. It runs at the lowest priority, so that traffic comes first, and never outlives its channel.
 */

import { HoneError } from '../../errors.js';
import { takeLowestPriority } from '../../process/priority.js';
import { loadRewardFunction, type RewardFunction } from '../function/index.js';
import type { RewardCommand, RewardEvent, RewardProgram } from './messages.js';

// Not idle time: a batch has a time limit by the clock, which a process that gets no core at all would miss.
takeLowestPriority();
process.once('disconnect', () => process.exit(0));

let score: RewardFunction | undefined;

process.on('message', (command: RewardCommand) => {
  if (command.type === 'start') {
    open(command.program).then(
      (opened) => {
        score = opened;
        send({ type: 'ready' });
      },
      (thrown: unknown) => send({ type: 'refused', error: HoneError.from(thrown).toJSON() }, () => process.exit(1)),
    );
    return;
  }
  const { id, items } = command;
  // Inside a promise, so that what the function throws at once is like what it throws later.
  Promise.resolve()
    .then(() => score?.(items))
    .then(
      (scores) => send({ type: 'scores', id, scores }),
      (thrown: unknown) => send({ type: 'failed', id, message: HoneError.from(thrown).message }),
    );
});

async function open(program: RewardProgram): Promise<RewardFunction> {
  if (program.type === 'function') return loadRewardFunction(program.module);
  // Only where it is needed: onnxruntime takes a second to come.
  const { openRewardModel } = await import('../model/index.js');
  const model = await openRewardModel(program.directory, { threads: program.threads });
  return (items) => model.score(items);
}

function send(event: RewardEvent, then?: () => void): void {
  if (process.connected) process.send?.(event, undefined, undefined, () => then?.());
  else then?.();
}
