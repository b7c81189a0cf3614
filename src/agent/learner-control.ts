/** Shows, pauses and resumes the learner. */

import { HoneError } from '../errors.js';
import { type LearnerStatus, nothingLearned } from '../learner/process/status.js';
import type { Loop } from './connect-loop.js';
import type { LearnerControl } from './interface.js';
import type { Learner } from './learner.js';

const learnerOff: LearnerStatus = {
  ...nothingLearned,
  state: 'off',
  restarts: 0,
  engine: '',
  starvedBecause: null,
  memoryBytes: null,
  failure: null,
};

export function learnerControl({ closing, learner }: Loop): LearnerControl {
  const learnerStatus = () => learner?.status() ?? learnerOff;
  return {
    learnerStatus,
    async pauseLearner() {
      await requireLearner(learner).pause();
      return learnerStatus();
    },
    async resumeLearner() {
      closing.refuse();
      await requireLearner(learner).resume();
      return learnerStatus();
    },
  };
}

function requireLearner(learner: Learner | null): Learner {
  if (learner === null) throw new HoneError('LEARNER_OFF', 'the server was started without a learner');
  return learner;
}
