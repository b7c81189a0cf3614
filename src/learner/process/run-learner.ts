/** Runs the learner in its process, from the lock on its directory to the last checkpoint. */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../../errors.js';
import { openReplayReader } from '../../replay/index.js';
import { type FileLock, takeFileLock } from '../../sqlite/index.js';
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
  const lock = await takeLock(start.directory);
  try {
    await Promise.race([learn(start, send, onReady), loss(lock)]);
  } finally {
    lock.release();
  }
}

async function learn(
  start: LearnerStart,
  send: (event: LearnerEvent) => void,
  onReady: (runner: LearnerRunner) => void,
): Promise<void> {
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
}

/** @throws HoneError `DATA_DIRECTORY_LOCKED` if another learner works in the directory */
async function takeLock(directory: string): Promise<FileLock> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const lock = takeFileLock(join(directory, 'lock'));
  if (lock === null) {
    throw new HoneError(
      'DATA_DIRECTORY_LOCKED',
      `another learner works in ${directory}; stop its server, or choose another data directory`,
    );
  }
  // Earlier Hones wrote a process id into a file of this name.
  await rm(join(directory, 'learner.lock'), { force: true });
  return lock;
}

/** Rejects when the lock is deleted or replaced, because another learner could then work on the same files. */
function loss(lock: FileLock): Promise<never> {
  return new Promise((_, reject) => {
    lock.watch(() => {
      const what = `the lock ${lock.path} was deleted or replaced while the learner ran`;
      reject(new HoneError('DATA_DIRECTORY_LOST', `${what}; leave the data directory alone while a server runs`));
    });
  });
}

/** Adds to progress events how much processor time the process has used. */
function withProcessorTime(send: (event: LearnerEvent) => void): (event: LearnerEvent) => void {
  return (event) => {
    if (event.type !== 'progress') return send(event);
    const { user, system } = process.cpuUsage();
    send({ ...event, progress: { ...event.progress, processorMs: (user + system) / 1000 } });
  };
}
