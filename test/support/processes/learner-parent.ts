/** A process that owns a learner. It sends the learner's process id while that trains, and waits to be killed. */

import { startLearner } from '../../../src/learner/process/supervisor.js';

const learner = startLearner(JSON.parse(process.argv[2] ?? '{}'));
let pid = 0;
learner.onEvent((event) => {
  if (event.type === 'ready') pid = event.pid;
  if (event.type === 'progress' && event.progress.state === 'training') process.send?.(pid);
});
