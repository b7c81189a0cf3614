/** Runs the learner in its process, from the lock on its directory to the last checkpoint. */

import { join } from 'node:path';
import { acquireLockFile } from '../../process/lock-file.js';
import { openReplayReader } from '../../replay/index.js';
import { openEngine } from '../engine/open-engine.js';
import { LearnerRunner } from '../round/runner.js';
import type { LearnerEvent, LearnerStart } from './messages.js';

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
    const engine = await openEngine({
      packageDirectory: start.packageDirectory,
      settings: start.settings,
      onOpened: (report) => send({ type: 'engine', report }),
    });
    const reader = openReplayReader(start.replayPath);
    const runner = new LearnerRunner({ start, engine, reader, send: withProcessorTime(send) });
    onReady(runner);
    await runner.run();
    reader.close();
    await engine.close();
  } finally {
    lock.release();
  }
}

/** Adds to progress events how much processor time the process has used. */
function withProcessorTime(send: (event: LearnerEvent) => void): (event: LearnerEvent) => void {
  return (event) => {
    if (event.type !== 'progress') return send(event);
    const { user, system } = process.cpuUsage();
    send({ ...event, progress: { ...event.progress, processorMs: (user + system) / 1000 } });
  };
}
