/** AdminService: the calls that change weights, the mode, the learner or stored data. */

import type { AdminServiceHandlers } from '../../proto/generated/hone/v1/AdminService.js';
import type { EraseSubjectRequest__Output } from '../../proto/generated/hone/v1/EraseSubjectRequest.js';
import type { ExportReplayRequest__Output } from '../../proto/generated/hone/v1/ExportReplayRequest.js';
import type { ImportReplayRequest__Output } from '../../proto/generated/hone/v1/ImportReplayRequest.js';
import type { ImportReplayResponse } from '../../proto/generated/hone/v1/ImportReplayResponse.js';
import type { ImportVersionRequest__Output } from '../../proto/generated/hone/v1/ImportVersionRequest.js';
import type { ImportVersionResponse } from '../../proto/generated/hone/v1/ImportVersionResponse.js';
import type { PromoteVersionRequest__Output } from '../../proto/generated/hone/v1/PromoteVersionRequest.js';
import type { RejectVersionRequest__Output } from '../../proto/generated/hone/v1/RejectVersionRequest.js';
import type { RollbackRequest__Output } from '../../proto/generated/hone/v1/RollbackRequest.js';
import type { SetModeRequest__Output } from '../../proto/generated/hone/v1/SetModeRequest.js';
import type { Agent } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { clientStream, type ReportError, serverStream, unary } from './calls.js';
import { FileCollector } from './files.js';
import { toLearnerStatus } from './learner.js';
import { toProtoErasure, toProtoExport, toProtoImport } from './replay.js';
import { fromProtoMode, toRolloutStatus } from './rollout.js';
import { toProtoVersion } from './versions.js';

/** How long an import may wait for its next piece, because other imports have to wait meanwhile. */
const importStalledMs = 30_000;

/** @param maxStalledMs how long a caller may leave an export unread */
export function adminHandlers(agent: Agent, report: ReportError, maxStalledMs: number): AdminServiceHandlers {
  // Each import holds a bounded amount of memory, so only one may run at a time.
  let importing = false;
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
    ImportVersion: clientStream<ImportVersionRequest__Output, ImportVersionResponse>(
      report,
      () => {
        if (importing) {
          throw new HoneError('QUEUE_FULL', 'another import is running; try again later', { retryAfterMs: 1000 });
        }
        importing = true;
        const files = new FileCollector(agent.maxImportBytes);
        return {
          take: ({ chunk }) => files.add(chunk),
          finish: async () => ({ version: toProtoVersion(await agent.importVersion(files.finish())) }),
          close: () => {
            importing = false;
          },
        };
      },
      importStalledMs,
    ),
    EraseSubject: unary(report, async ({ subject, retrain }: EraseSubjectRequest__Output) =>
      toProtoErasure(await agent.eraseSubject(subject, retrain)),
    ),
    ExportReplay: serverStream(
      report,
      (request: ExportReplayRequest__Output) => toProtoExport(agent, request),
      maxStalledMs,
    ),
    ImportReplay: clientStream<ImportReplayRequest__Output, ImportReplayResponse>(
      report,
      () => {
        const intake = agent.importReplay();
        return {
          take: ({ data }) => intake.add(data),
          finish: async () => toProtoImport(await intake.finish()),
          close: () => undefined,
        };
      },
      importStalledMs,
    ),
    PauseLearner: unary(report, async () => ({ learner: toLearnerStatus(await agent.pauseLearner()) })),
    ResumeLearner: unary(report, async () => ({ learner: toLearnerStatus(await agent.resumeLearner()) })),
  };
}
