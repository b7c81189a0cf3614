import type { Learner } from '../../../src/agent/types.js';
import type { LearnerSupervisor } from '../../../src/learner/index.js';
export const check = (s: LearnerSupervisor): Learner => s;
