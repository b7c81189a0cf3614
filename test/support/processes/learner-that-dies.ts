/**
 * A learner whose process is killed in a pass over the completion of one generation, as if memory had run out. It exits
 * with 0 after its first candidate, and sends its events before.
 */

import { join } from 'node:path';
import type { LearnerEvent, LearnerStart } from '../../../src/learner/process/messages.js';
import { LearnerRunner } from '../../../src/learner/round/runner.js';
import type { TrainingRow } from '../../../src/learner/types.js';
import { openReplayReader } from '../../../src/replay/index.js';
import { BanditEngine } from '../learner/bandit-engine.js';

const start: LearnerStart = JSON.parse(process.argv[2] ?? '{}');
const reader = openReplayReader(start.replayPath);
const deadly = reader.readGenerations([process.argv[3] ?? '']).map(({ tokens }) => tokens.join());

const engine = new BanditEngine(1);
const compute = engine.logProbabilities.bind(engine);
engine.logProbabilities = (rows: readonly TrainingRow[], parameters) => {
  if (rows.some(({ completionTokens }) => deadly.includes(Array.from(completionTokens).join())))
    process.kill(process.pid, 'SIGKILL');
  return compute(rows, parameters);
};

const runner = new LearnerRunner({
  start: { ...start, type: 'start', directory: join(start.directory, 'aborting') },
  engine,
  reader,
  send: (event: LearnerEvent) => {
    process.send?.(event);
    if (event.type === 'candidate') runner.handle({ type: 'stop' });
  },
});
await runner.run();
process.disconnect?.();
