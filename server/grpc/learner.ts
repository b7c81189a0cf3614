/** LearnerService, and the learner in the contract's words. */

import type { LearnerServiceHandlers } from '../../proto/generated/hone/v1/LearnerService.js';
import type { LearnerState } from '../../proto/generated/hone/v1/LearnerState.js';
import type { LearnerStatus as LearnerStatusMessage } from '../../proto/generated/hone/v1/LearnerStatus.js';
import type { Agent, LearnerStatus } from '../../src/agent/index.js';
import { type ReportError, unary } from './calls.js';

export function learnerHandlers(agent: Agent, report: ReportError): LearnerServiceHandlers {
  return {
    GetLearnerStatus: unary(report, () => ({ learner: toLearnerStatus(agent.learnerStatus()) })),
  };
}

const states: Readonly<Record<LearnerStatus['state'], LearnerState>> = {
  off: 'LEARNER_STATE_OFF',
  starting: 'LEARNER_STATE_STARTING',
  idle: 'LEARNER_STATE_IDLE',
  training: 'LEARNER_STATE_TRAINING',
  crashed: 'LEARNER_STATE_CRASHED',
  stopping: 'LEARNER_STATE_STOPPING',
  paused: 'LEARNER_STATE_PAUSED',
  halted: 'LEARNER_STATE_HALTED',
};

export function toLearnerStatus(learner: LearnerStatus): LearnerStatusMessage {
  const {
    state,
    loss,
    meanReward,
    kl,
    belowMeanH,
    gradientNorm,
    stepMs,
    haltedBecause,
    buffer,
    roundStaleness,
    ...counts
  } = learner;
  const figures = { loss, meanReward, kl, belowMeanH, gradientNorm, stepMs, haltedBecause };
  return {
    ...counts,
    ...known(figures),
    state: states[state],
    buffer: { ...known(buffer), staleness: [...buffer.staleness] },
    roundStaleness: [...roundStaleness],
  };
}

function known(figures: object): object {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== null));
}
