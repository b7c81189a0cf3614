/**
 * Draws the completions that a step learns from: whole groups and pairs, a share of them from the newest round and the
 * rest from older ones.
 *
 * Among the newest and among the older groups the least used come first, in random order among equals. So every group is
 * used once before any is used twice. No completion is used more often than the replay ratio. The order follows from keys
 * and tokens alone, and not from the order in which the store was read: a restarted learner draws the same.
 */

import { drawOrder, type Random } from '../random.js';
import type { LearnerSettings } from '../types.js';
import type { ExperienceBuffer } from './buffer.js';
import type { Group, Member } from './members.js';

export type SamplerSettings = Pick<LearnerSettings, 'groupsPerStep' | 'groupSize' | 'newestShare' | 'replayRatio'>;

/**
 * Draws the groups of one step and counts the use of their members.
 * @returns at most `groupsPerStep` groups of at most `groupSize` members; empty when everything is used up
 */
export function sampleGroups(buffer: ExperienceBuffer, settings: SamplerSettings, random: Random): Member[][] {
  const order = drawOrder(random);
  const newest: Usable[] = [];
  const older: Usable[] = [];
  for (const [, group] of order(buffer.groups)) {
    const found = usable(group, settings);
    if (found === null) continue;
    if (group.sequence > buffer.ledger.cutoff) newest.push(found);
    else older.push(found);
  }
  // Sorting is stable, so equals stay in their random order.
  newest.sort((a, b) => a.uses - b.uses);
  older.sort((a, b) => a.uses - b.uses);
  const wanted = settings.groupsPerStep;
  const fromNewest = Math.max(Math.round(settings.newestShare * wanted), wanted - older.length);
  const chosen = newest.slice(0, fromNewest);
  chosen.push(...older.slice(0, wanted - chosen.length));
  const members = chosen.map(({ group, members: usableMembers }) =>
    order(usableMembers)
      .map(([, member]) => member)
      .sort((a, b) => a.uses - b.uses)
      .slice(0, mostOf(group, settings)),
  );
  for (const member of members.flat()) member.uses += 1;
  return members;
}

/** A group that may be drawn. */
interface Usable {
  readonly group: Group;
  /** Members that may still be used, by their tokens. */
  readonly members: readonly (readonly [string, Member])[];
  /** Mean uses of the members that would be drawn: the least used ones if there are too many. */
  readonly uses: number;
}

/** Most members of a group in one step: a pair is never halved. */
function mostOf({ kind }: Group, { groupSize }: SamplerSettings): number {
  return kind === 'preference' ? Math.max(2, groupSize) : groupSize;
}

function usable(group: Group, settings: SamplerSettings): Usable | null {
  const members = [...group.members].filter(([, { uses }]) => uses < settings.replayRatio);
  // One side of a comparison means nothing alone.
  if (members.length === 0 || (group.kind === 'preference' && members.length < 2)) return null;
  const uses = members.map(([, member]) => member.uses);
  const most = mostOf(group, settings);
  if (uses.length > most) uses.sort((a, b) => a - b).splice(most);
  return { group, members, uses: uses.reduce((sum, count) => sum + count, 0) / uses.length };
}
