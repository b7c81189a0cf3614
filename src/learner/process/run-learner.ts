/** What the learner process does, from its lock to its end. */

import { join } from 'node:path';
import { acquireLockFile } from '../../process/lock-file.js';
import { openReplayReader } from '../../replay/index.js';
import { openEngine } from '../engine/open-engine.js';
import { LearnerRunner } from '../round/runner.js';
import type { LearnerEvent, LearnerStart } from './messages.js';
import { ProcessorShare } from './processor-share.js';

/**
 * Runs until the runner is told to stop.
 * @param onReady given the runner, which takes commands from then on
 * @throws HoneError what keeps the learner from starting, or ends it
 */
export async function runLearner(
  start: LearnerStart,
  send: (event: LearnerEvent) => void,
  onReady: (runner: LearnerRunner) => void,
): Promise<void> {
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
    const runner = new LearnerRunner({ start, engine, reader, send: computesHere ? withShare(send) : send });
    onReady(runner);
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
