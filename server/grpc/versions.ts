/** VersionService, and a version as a message of the contract. */

import { encodeMessage } from '../../proto/contract.js';
import { enumNames } from '../../proto/enum-names.js';
import { toChunks } from '../../proto/file-chunks.js';
import type { ExportVersionRequest__Output } from '../../proto/generated/hone/v1/ExportVersionRequest.js';
import type { ExportVersionResponse } from '../../proto/generated/hone/v1/ExportVersionResponse.js';
import type { GetVersionRequest__Output } from '../../proto/generated/hone/v1/GetVersionRequest.js';
import type { ListVersionsRequest__Output } from '../../proto/generated/hone/v1/ListVersionsRequest.js';
import type { Version as ProtoVersion } from '../../proto/generated/hone/v1/Version.js';
import type { VersionServiceHandlers } from '../../proto/generated/hone/v1/VersionService.js';
import type { Agent } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { OwnTurns } from '../../src/process/own-turns.js';
import type { Version } from '../../src/versions/index.js';
import { maxAnswerBytes } from './answer-size.js';
import { type ReportError, serverStream, unary } from './calls.js';

/** Each export holds a whole adapter. */
export const maxVersionExports = 4;

/** @param maxStalledMs how long a caller may leave an export unread */
export function versionHandlers(agent: Agent, report: ReportError, maxStalledMs: number): VersionServiceHandlers {
  let exporting = 0;
  const turns = new OwnTurns();
  return {
    ListVersions: unary(report, ({ pageSize, pageToken }: ListVersionsRequest__Output) => {
      const page = agent.listVersions(pageSize, pageToken);
      const versions = page.versions.map(toProtoVersion);
      const fitting = countFitting(versions);
      if (fitting === versions.length) return { versions, nextPageToken: page.nextPageToken };
      const { nextPageToken } = agent.listVersions(fitting, pageToken);
      return { versions: versions.slice(0, fitting), nextPageToken };
    }),
    GetVersion: unary(report, ({ number }: GetVersionRequest__Output) => ({
      version: toProtoVersion(agent.getVersion(number)),
    })),
    ExportVersion: serverStream(
      report,
      async function* ({ number }: ExportVersionRequest__Output): AsyncGenerator<ExportVersionResponse> {
        if (exporting >= maxVersionExports) {
          throw new HoneError('QUEUE_FULL', `${maxVersionExports} exports are running; try again later`, {
            retryAfterMs: 1000,
          });
        }
        exporting += 1;
        try {
          const files = await agent.exportVersion(number);
          for (const chunk of toChunks(files)) {
            await turns.next();
            yield { chunk };
          }
        } finally {
          exporting -= 1;
        }
      },
      maxStalledMs,
    ),
  };
}

/** How many of the versions fit into one answer, from the first one on; at least one. */
function countFitting(versions: readonly ProtoVersion[]): number {
  // The token of the next page, and the frame of each version.
  let bytes = 64;
  for (const [index, version] of versions.entries()) {
    bytes += encodeMessage('hone.v1.Version', version).length + 8;
    if (bytes > maxAnswerBytes) return Math.max(1, index);
  }
  return versions.length;
}

export function toProtoVersion(version: Version): ProtoVersion {
  const { parent, state, origin, metrics, weights, verdict, rejectedBecause, ...rest } = version;
  return {
    ...rest,
    state: enumNames.VersionState.toValue(state),
    origin: enumNames.VersionOrigin.toValue(origin),
    metrics: { ...metrics },
    verdict: verdict.map((check) => ({
      ...check,
      outcome: enumNames.CheckOutcome.toValue(check.outcome),
      numbers: { ...check.numbers },
    })),
    rejectedBecause: rejectedBecause ?? '',
    weights: enumNames.VersionWeights.toValue(weights),
    ...(parent === null ? {} : { parent }),
  };
}
