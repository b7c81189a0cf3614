/** LearnerService, and the learner's status as a message of the contract. */

import { enumNames } from '../../proto/enum-names.js';
import type { LearnerServiceHandlers } from '../../proto/generated/hone/v1/LearnerService.js';
import type { LearnerStatus as LearnerStatusMessage } from '../../proto/generated/hone/v1/LearnerStatus.js';
import type { Agent, LearnerStatus } from '../../src/agent/index.js';
import { type ReportError, unary } from './calls.js';

export function learnerHandlers(agent: Agent, report: ReportError): LearnerServiceHandlers {
  return {
    GetLearnerStatus: unary(report, () => ({ learner: toLearnerStatus(agent.learnerStatus()) })),
  };
}

export function toLearnerStatus(learner: LearnerStatus): LearnerStatusMessage {
  const { state, setAside, buffer, roundStaleness, ...figures } = learner;
  return {
    ...known(figures),
    state: enumNames.LearnerState.toValue(state),
    setAside: { unfit: setAside.unfit, tooLarge: setAside.too_large, broke: setAside.broke },
    buffer: { ...known(buffer), staleness: [...buffer.staleness] },
    roundStaleness: [...roundStaleness],
  };
}

function known(figures: object): object {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== null));
}
