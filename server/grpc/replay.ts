/** Turns the results of erasure, export and import into messages of the contract. */

import type { EraseSubjectResponse } from '../../proto/generated/hone/v1/EraseSubjectResponse.js';
import type { ExportReplayRequest__Output } from '../../proto/generated/hone/v1/ExportReplayRequest.js';
import type { ExportReplayResponse } from '../../proto/generated/hone/v1/ExportReplayResponse.js';
import type { ImportReplayResponse } from '../../proto/generated/hone/v1/ImportReplayResponse.js';
import type { Agent, ErasureResult, ImportResult } from '../../src/agent/index.js';
import { toRpcStatus } from '../errors.js';
import { toProtoVersion } from './versions.js';

export function toProtoErasure({ versions, live, removedWeights, ...erased }: ErasureResult): EraseSubjectResponse {
  return {
    ...erased,
    versions: [...versions],
    removedWeights: [...removedWeights],
    ...(live === null ? {} : { live: toProtoVersion(live) }),
  };
}

/** Largest piece in bytes, far below the message limit of clients. */
const pieceBytes = 256 * 1024;

export async function* toProtoExport(
  agent: Agent,
  { subject, sinceMs, scored }: ExportReplayRequest__Output,
): AsyncGenerator<ExportReplayResponse> {
  const filter = { scored, sinceMs: sinceMs ?? undefined, ...(subject === '' ? {} : { subject }) };
  for await (const { lines, records } of agent.exportReplay(filter)) {
    const bytes = Buffer.from(lines);
    for (let from = 0; from < bytes.length; from += pieceBytes) {
      yield { lines: bytes.subarray(from, from + pieceBytes), records };
    }
  }
}

export function toProtoImport({ refusals, ...counts }: ImportResult): ImportReplayResponse {
  return { ...counts, refusals: refusals.map(({ line, error }) => ({ line, error: toRpcStatus(error) })) };
}
