/**
 * Entry of the learner process: a child of the server, started by `supervisor.ts`, that speaks {@link LearnerCommand} and
 * {@link LearnerEvent} over its channel. It runs at the lowest priority and never outlives the channel.
 */

import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { takeIdleTime } from '../lowest-priority.js';
import { openReplayReader } from '../replay/index.js';
import { openEngine } from './engine/open-engine.js';
import { acquireLockFile } from './lock-file.js';
import { ProcessorShare } from './processor-share.js';
import { LearnerRunner } from './runner.js';
import type { LearnerCommand, LearnerEvent, LearnerStart } from './types.js';

takeIdleTime();
// biome-ignore lint/style/noProcessEnv: this process's root; CUDA would compute products in TF32, far from the cpu's float32
process.env.NVIDIA_TF32_OVERRIDE ??= '0';
// Without its server it has no purpose; what it learned is in the checkpoint.
process.once('disconnect', () => process.exit(0));

/** Commands that came before the runner was ready. */
const waiting: LearnerCommand[] = [];
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
  const lock = acquireLockFile(join(start.directory, 'learner.lock'));
  try {
    // Where another device computes, the processor has little to do.
    let computesHere = start.settings.device === 'cpu';
    const engine = await openEngine({
      packageDirectory: start.packageDirectory,
      settings: start.settings,
      onOpened: (report) => {
        computesHere ||= report.device === 'cpu';
        send({ type: 'engine', report });
      },
    });
    const reader = openReplayReader(start.replayPath);
    runner = new LearnerRunner({ start, engine, reader, send: computesHere ? withShare(send) : send });
    for (const command of waiting) runner.handle(command);
    await runner.run();
    reader.close();
    await engine.close();
  } finally {
    lock.release();
  }
}

/** Reports get the share of the processor added. */
function withShare(tell: (event: LearnerEvent) => void): (event: LearnerEvent) => void {
  const share = new ProcessorShare();
  return (event) => {
    if (event.type !== 'progress') tell(event);
    else for (const one of share.see(event.progress)) tell(one);
  };
}

function send(event: LearnerEvent, then?: () => void): void {
  if (process.connected) process.send?.(event, undefined, undefined, () => then?.());
  else then?.();
}
