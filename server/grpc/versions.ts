/** VersionService, and a version in the contract's words. */

import type { GetVersionRequest__Output } from '../../proto/generated/hone/v1/GetVersionRequest.js';
import type { ListVersionsRequest__Output } from '../../proto/generated/hone/v1/ListVersionsRequest.js';
import type { Version as ProtoVersion } from '../../proto/generated/hone/v1/Version.js';
import type { VersionOrigin } from '../../proto/generated/hone/v1/VersionOrigin.js';
import type { VersionServiceHandlers } from '../../proto/generated/hone/v1/VersionService.js';
import type { VersionState as ProtoState } from '../../proto/generated/hone/v1/VersionState.js';
import type { Agent } from '../../src/agent/index.js';
import type { Version, VersionState } from '../../src/versions/index.js';
import { type ReportError, unary } from './calls.js';

export function versionHandlers(agent: Agent, report: ReportError): VersionServiceHandlers {
  return {
    ListVersions: unary(report, ({ pageSize, pageToken }: ListVersionsRequest__Output) => {
      const page = agent.listVersions(pageSize, pageToken);
      return { versions: page.versions.map(toProtoVersion), nextPageToken: page.nextPageToken };
    }),
    GetVersion: unary(report, ({ number }: GetVersionRequest__Output) => ({
      version: toProtoVersion(agent.getVersion(number)),
    })),
  };
}

export const versionStates: Readonly<Record<VersionState, ProtoState>> = {
  candidate: 'VERSION_STATE_CANDIDATE',
  live: 'VERSION_STATE_LIVE',
  retired: 'VERSION_STATE_RETIRED',
  rejected: 'VERSION_STATE_REJECTED',
};

const origins: Readonly<Record<Version['origin'], VersionOrigin>> = {
  base: 'VERSION_ORIGIN_BASE',
  learned: 'VERSION_ORIGIN_LEARNED',
  rollback: 'VERSION_ORIGIN_ROLLBACK',
  imported: 'VERSION_ORIGIN_IMPORTED',
};

export function toProtoVersion(version: Version): ProtoVersion {
  const { parent, state, origin, metrics, ...rest } = version;
  return {
    ...rest,
    state: versionStates[state],
    origin: origins[origin],
    metrics: { ...metrics },
    ...(parent === null ? {} : { parent }),
  };
}
