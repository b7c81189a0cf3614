/** AdminService: what changes weights or the learner. */

import type { AdminServiceHandlers } from '../../proto/generated/hone/v1/AdminService.js';
import type { RollbackRequest__Output } from '../../proto/generated/hone/v1/RollbackRequest.js';
import type { Agent } from '../../src/agent/index.js';
import { type ReportError, unary } from './calls.js';
import { toLearnerStatus } from './learner.js';
import { toProtoVersion } from './versions.js';

export function adminHandlers(agent: Agent, report: ReportError): AdminServiceHandlers {
  return {
    Rollback: unary(report, async ({ number }: RollbackRequest__Output) => ({
      version: toProtoVersion(await agent.rollback(number)),
    })),
    PauseLearner: unary(report, async () => ({ learner: toLearnerStatus(await agent.pauseLearner()) })),
    ResumeLearner: unary(report, async () => ({ learner: toLearnerStatus(await agent.resumeLearner()) })),
  };
}
