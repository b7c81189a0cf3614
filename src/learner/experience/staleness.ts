/** Staleness: how many versions old the completions are that the learner holds and uses. */

import type { BufferStatus } from '../process/status.js';
import type { ExperienceBuffer } from './buffer.js';

/** Counts completions by staleness: the number at index s is s versions old. */
export function countByStaleness(versions: Iterable<number>, liveVersion: number): number[] {
  const counts: number[] = [];
  for (const version of versions) {
    const staleness = Math.max(0, liveVersion - version);
    while (counts.length <= staleness) counts.push(0);
    counts[staleness] = (counts[staleness] ?? 0) + 1;
  }
  return counts;
}

function bufferStatus(buffer: ExperienceBuffer, liveVersion: number): BufferStatus {
  const groups = [...buffer.groups.values()];
  const members = groups.flatMap((group) => [...group.members.values()]);
  const pairs = groups.filter(({ kind }) => kind === 'preference').length;
  const uses = members.reduce((sum, member) => sum + member.uses, 0);
  return {
    completions: members.length,
    groups: groups.length - pairs,
    pairs,
    fresh: buffer.ledger.fresh,
    pending: buffer.pending.size,
    oldestAtMs: members.length === 0 ? null : members.reduce((oldest, m) => Math.min(oldest, m.createdAtMs), Infinity),
    usesPerCompletion: members.length === 0 ? null : uses / members.length,
    staleness: countByStaleness(
      members.map(({ version }) => version),
      liveVersion,
    ),
  };
}

/** Counting a large buffer takes milliseconds. */
const countEveryMs = 1000;

/** Counts a buffer at most once a second, unless the caller wants a new count. */
export class BufferCensus {
  #status: BufferStatus | undefined;
  #countedAtMs = 0;

  of(buffer: ExperienceBuffer, liveVersion: number, countNow: boolean): BufferStatus {
    const now = performance.now();
    if (this.#status !== undefined && !countNow && now - this.#countedAtMs < countEveryMs) return this.#status;
    this.#status = bufferStatus(buffer, liveVersion);
    this.#countedAtMs = now;
    return this.#status;
  }
}
