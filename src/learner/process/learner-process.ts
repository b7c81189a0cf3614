/**
 * Entry of the learner process, a child of the server that `supervisor.ts` starts. It takes a {@link LearnerCommand} and
 * sends a {@link LearnerEvent} over its channel, runs at the lowest priority, and ends when the channel closes.
 */

import { HoneError } from '../../errors.js';
import { runOnlyWhenIdle } from '../../process/priority.js';
import type { LearnerRunner } from '../round/runner.js';
import type { LearnerCommand, LearnerEvent, LearnerStart, RunnerCommand } from './messages.js';

runOnlyWhenIdle();
// biome-ignore lint/style/noProcessEnv: this process's root; CUDA would compute products in TF32, far from the cpu's float32
process.env.NVIDIA_TF32_OVERRIDE ??= '0';
// The server is gone. What the learner has learned is in the checkpoint.
process.once('disconnect', () => {
  runner?.abandon();
  process.exit(0);
});

/** Commands that arrived before the runner existed. */
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
  // This loads most of the code. The process has its low priority by now, so loading takes nothing from serving.
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
