/**
 * Which completions a step learns from: whole groups (and pairs), a share of them from the newest round, the rest older.
 *
 * Within a pool the least used groups come first, in random order among equals, so that everything is seen once before
 * anything is seen twice. No completion is used more often than the replay ratio. The order follows from keys and tokens
 * alone, never from the order in which the store was read: a learner that was started anew draws the same.
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
  // Sorting is stable: equals stay in their random order.
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
  /** Those that may still be used, by their tokens. */
  readonly members: readonly (readonly [string, Member])[];
  /** Mean uses of those that would be drawn: the least used ones where there are too many. */
  readonly uses: number;
}

/** Members of a step at most: a pair is never halved. */
function mostOf({ kind }: Group, { groupSize }: SamplerSettings): number {
  return kind === 'preference' ? Math.max(2, groupSize) : groupSize;
}

function usable(group: Group, settings: SamplerSettings): Usable | null {
  const members = [...group.members].filter(([, { uses }]) => uses < settings.replayRatio);
  // Half a comparison says nothing.
  if (members.length === 0 || (group.kind === 'preference' && members.length < 2)) return null;
  const uses = members.map(([, member]) => member.uses);
  const most = mostOf(group, settings);
  if (uses.length > most) uses.sort((a, b) => a - b).splice(most);
  return { group, members, uses: uses.reduce((sum, count) => sum + count, 0) / uses.length };
}
