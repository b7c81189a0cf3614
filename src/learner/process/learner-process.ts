/**
 * Entry of the learner process: a child of the server, started by `supervisor.ts`, that speaks {@link LearnerCommand} and
 * {@link LearnerEvent} over its channel. It runs at the lowest priority and never outlives the channel.
 */

import { HoneError } from '../../errors.js';
import { runOnlyWhenIdle } from '../../process/priority.js';
import type { LearnerRunner } from '../round/runner.js';
import type { LearnerCommand, LearnerEvent, LearnerStart, RunnerCommand } from './messages.js';

runOnlyWhenIdle();
// biome-ignore lint/style/noProcessEnv: this process's root; CUDA would compute products in TF32, far from the cpu's float32
process.env.NVIDIA_TF32_OVERRIDE ??= '0';
// Without its server it has no purpose; what it learned is in the checkpoint.
process.once('disconnect', () => process.exit(0));

/** Commands that came before the runner was ready. */
const waiting: RunnerCommand[] = [];
let runner: LearnerRunner | undefined;
let started = false;

process.on('message', (command: LearnerCommand) => {
  if (command.type === 'start') {
    if (started) return;
    started = true;
    work(command).then(
      () => process.exit(0),
      (thrown: unknown) => {
        const { code, message } = HoneError.from(thrown);
        send({ type: 'failed', code, message }, () => process.exit(1));
      },
    );
  } else if (runner === undefined) {
    if (command.type === 'stop' && !started) process.exit(0);
    waiting.push(command);
  } else {
    runner.handle(command);
  }
});

async function work(start: LearnerStart): Promise<void> {
  // Loaded only now: at the priority that the process has by now, so that its start takes nothing from serving either.
  const { runLearner } = await import('./run-learner.js');
  await runLearner(start, send, (ready) => {
    runner = ready;
    for (const command of waiting) runner.handle(command);
  });
}

function send(event: LearnerEvent, then?: () => void): void {
  if (process.connected) process.send?.(event, undefined, undefined, () => then?.());
  else then?.();
}
