/** How old, in versions, the completions are that the learner holds and uses. */

import type { BufferStatus } from '../process/status.js';
import type { ExperienceBuffer } from './buffer.js';

/** How many there are of each staleness, from 0. */
export function countByStaleness(versions: Iterable<number>, liveVersion: number): number[] {
  const counts: number[] = [];
  for (const version of versions) {
    const staleness = Math.max(0, liveVersion - version);
    while (counts.length <= staleness) counts.push(0);
    counts[staleness] = (counts[staleness] ?? 0) + 1;
  }
  return counts;
}

/** The figures of a buffer beside a live version. */
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

/** Counting a large buffer costs milliseconds. */
const countEveryMs = 1000;

/** The figures of a buffer, counted at most once a second unless asked anew. */
export class BufferCensus {
  #figures: BufferStatus | undefined;
  #countedAtMs = 0;

  of(buffer: ExperienceBuffer, liveVersion: number, anew: boolean): BufferStatus {
    const now = performance.now();
    if (this.#figures !== undefined && !anew && now - this.#countedAtMs < countEveryMs) return this.#figures;
    this.#figures = bufferStatus(buffer, liveVersion);
    this.#countedAtMs = now;
    return this.#figures;
  }
}
