/** AdminService: what changes weights, the mode or the learner. */

import type { AdminServiceHandlers } from '../../proto/generated/hone/v1/AdminService.js';
import type { PromoteVersionRequest__Output } from '../../proto/generated/hone/v1/PromoteVersionRequest.js';
import type { RejectVersionRequest__Output } from '../../proto/generated/hone/v1/RejectVersionRequest.js';
import type { RollbackRequest__Output } from '../../proto/generated/hone/v1/RollbackRequest.js';
import type { SetModeRequest__Output } from '../../proto/generated/hone/v1/SetModeRequest.js';
import type { Agent } from '../../src/agent/index.js';
import { type ReportError, unary } from './calls.js';
import { toLearnerStatus } from './learner.js';
import { fromProtoMode, toRolloutStatus } from './rollout.js';
import { toProtoVersion } from './versions.js';

export function adminHandlers(agent: Agent, report: ReportError): AdminServiceHandlers {
  return {
    Rollback: unary(report, async ({ number }: RollbackRequest__Output) => ({
      version: toProtoVersion(await agent.rollback(number)),
    })),
    GetMode: unary(report, () => ({ rollout: toRolloutStatus(agent.rollout()) })),
    SetMode: unary(report, async ({ mode }: SetModeRequest__Output) => ({
      rollout: toRolloutStatus(await agent.setMode(fromProtoMode(mode))),
    })),
    PromoteVersion: unary(report, async ({ number }: PromoteVersionRequest__Output) => ({
      version: toProtoVersion(await agent.promoteVersion(number)),
    })),
    RejectVersion: unary(report, async ({ number, reason }: RejectVersionRequest__Output) => ({
      version: toProtoVersion(await agent.rejectVersion(number, reason)),
    })),
    PauseLearner: unary(report, async () => ({ learner: toLearnerStatus(await agent.pauseLearner()) })),
    ResumeLearner: unary(report, async () => ({ learner: toLearnerStatus(await agent.resumeLearner()) })),
  };
}
