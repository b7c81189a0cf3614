/** Runs the learner in its process, from the lock on its directory to the last checkpoint. */

import { join } from 'node:path';
import { acquireLockFile } from '../../process/lock-file.js';
import { openReplayReader } from '../../replay/index.js';
import { openEngine } from '../engine/open-engine.js';
import { LearnerRunner } from '../round/runner.js';
import type { LearnerEvent, LearnerStart } from './messages.js';
import { ProcessorShare } from './processor-share.js';

/**
 * Resolves when the runner was told to stop and has stopped.
 * @param onReady called with the runner, which takes commands from then on
 * @throws HoneError what keeps the learner from starting, or ends it
 */
export async function runLearner(
  start: LearnerStart,
  send: (event: LearnerEvent) => void,
  onReady: (runner: LearnerRunner) => void,
): Promise<void> {
  const lock = acquireLockFile(join(start.directory, 'learner.lock'));
  try {
    // If another device computes, the processor has little to do, and its share means nothing.
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
    const runner = new LearnerRunner({ start, engine, reader, send: computesHere ? withShare(send) : send });
    onReady(runner);
    await runner.run();
    reader.close();
    await engine.close();
  } finally {
    lock.release();
  }
}

/** Adds the share of the processor to progress events. */
function withShare(send: (event: LearnerEvent) => void): (event: LearnerEvent) => void {
  const share = new ProcessorShare();
  return (event) => {
    if (event.type !== 'progress') send(event);
    else for (const one of share.see(event.progress)) send(one);
  };
}
