/** VersionService, and a version in the contract's words. */

import { toChunks } from '../../proto/file-chunks.js';
import type { CheckOutcome } from '../../proto/generated/hone/v1/CheckOutcome.js';
import type { ExportVersionRequest__Output } from '../../proto/generated/hone/v1/ExportVersionRequest.js';
import type { ExportVersionResponse } from '../../proto/generated/hone/v1/ExportVersionResponse.js';
import type { GetVersionRequest__Output } from '../../proto/generated/hone/v1/GetVersionRequest.js';
import type { ListVersionsRequest__Output } from '../../proto/generated/hone/v1/ListVersionsRequest.js';
import type { Version as ProtoVersion } from '../../proto/generated/hone/v1/Version.js';
import type { VersionOrigin } from '../../proto/generated/hone/v1/VersionOrigin.js';
import type { VersionServiceHandlers } from '../../proto/generated/hone/v1/VersionService.js';
import type { VersionState as ProtoState } from '../../proto/generated/hone/v1/VersionState.js';
import type { VersionWeights } from '../../proto/generated/hone/v1/VersionWeights.js';
import type { Agent } from '../../src/agent/index.js';
import type { Version, VersionCheck, VersionState } from '../../src/versions/index.js';
import { type ReportError, serverStream, unary } from './calls.js';

export function versionHandlers(agent: Agent, report: ReportError): VersionServiceHandlers {
  return {
    ListVersions: unary(report, ({ pageSize, pageToken }: ListVersionsRequest__Output) => {
      const page = agent.listVersions(pageSize, pageToken);
      return { versions: page.versions.map(toProtoVersion), nextPageToken: page.nextPageToken };
    }),
    GetVersion: unary(report, ({ number }: GetVersionRequest__Output) => ({
      version: toProtoVersion(agent.getVersion(number)),
    })),
    ExportVersion: serverStream(
      report,
      async function* ({ number }: ExportVersionRequest__Output): AsyncGenerator<ExportVersionResponse> {
        for (const chunk of toChunks(await agent.exportVersion(number))) yield { chunk };
      },
    ),
  };
}

export const versionStates: Readonly<Record<VersionState, ProtoState>> = {
  candidate: 'VERSION_STATE_CANDIDATE',
  live: 'VERSION_STATE_LIVE',
  retired: 'VERSION_STATE_RETIRED',
  rejected: 'VERSION_STATE_REJECTED',
  shadow: 'VERSION_STATE_SHADOW',
  canary: 'VERSION_STATE_CANARY',
};

const origins: Readonly<Record<Version['origin'], VersionOrigin>> = {
  base: 'VERSION_ORIGIN_BASE',
  learned: 'VERSION_ORIGIN_LEARNED',
  rollback: 'VERSION_ORIGIN_ROLLBACK',
  imported: 'VERSION_ORIGIN_IMPORTED',
};

const outcomes: Readonly<Record<VersionCheck['outcome'], CheckOutcome>> = {
  passed: 'CHECK_OUTCOME_PASSED',
  failed: 'CHECK_OUTCOME_FAILED',
  skipped: 'CHECK_OUTCOME_SKIPPED',
};

const weightStates: Readonly<Record<Version['weights'], VersionWeights>> = {
  kept: 'VERSION_WEIGHTS_KEPT',
  removed: 'VERSION_WEIGHTS_REMOVED',
};

export function toProtoVersion(version: Version): ProtoVersion {
  const { parent, state, origin, metrics, weights, verdict, rejectedBecause, ...rest } = version;
  return {
    ...rest,
    state: versionStates[state],
    origin: origins[origin],
    metrics: { ...metrics },
    verdict: verdict.map((check) => ({ ...check, outcome: outcomes[check.outcome], numbers: { ...check.numbers } })),
    rejectedBecause: rejectedBecause ?? '',
    weights: weightStates[weights],
    ...(parent === null ? {} : { parent }),
  };
}
