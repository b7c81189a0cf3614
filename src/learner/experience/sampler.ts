/**
 * Which completions a step learns from: whole groups (and pairs), a share of them from the newest round, the rest older.
 *
 * Within a pool the least used groups come first, in random order among equals, so that everything is seen once before
 * anything is seen twice. No completion is used more often than the replay ratio.
 */

import { type Random, shuffled } from '../random.js';
import type { LearnerSettings } from '../types.js';
import type { ExperienceBuffer } from './buffer.js';
import type { Group, Member } from './members.js';

export type SamplerSettings = Pick<LearnerSettings, 'groupsPerStep' | 'groupSize' | 'newestShare' | 'replayRatio'>;

/**
 * Draws the groups of one step and counts the use of their members.
 * @returns at most `groupsPerStep` groups of at most `groupSize` members; empty when everything is used up
 */
export function sampleGroups(buffer: ExperienceBuffer, settings: SamplerSettings, random: Random): Member[][] {
  const newest: Member[][] = [];
  const older: Member[][] = [];
  for (const group of shuffled([...buffer.groups.values()], random)) {
    const members = usable(group, settings, random);
    if (members.length === 0) continue;
    if (group.sequence > buffer.cutoff) newest.push(members);
    else older.push(members);
  }
  newest.sort(byUses);
  older.sort(byUses);
  const wanted = settings.groupsPerStep;
  const fromNewest = Math.max(Math.round(settings.newestShare * wanted), wanted - older.length);
  const chosen = newest.slice(0, fromNewest);
  chosen.push(...older.slice(0, wanted - chosen.length));
  for (const members of chosen) for (const member of members) member.uses += 1;
  return chosen;
}

/** The members that may still be used, the least used ones where there are too many. */
function usable(group: Group, { groupSize, replayRatio }: SamplerSettings, random: Random): Member[] {
  const members = [...group.members.values()].filter((member) => member.uses < replayRatio);
  // Half a comparison says nothing.
  if (group.kind === 'preference' && members.length < 2) return [];
  if (members.length <= groupSize) return members;
  return shuffled(members, random)
    .sort((a, b) => a.uses - b.uses)
    .slice(0, groupSize);
}

/** Sorting is stable: equals stay in their random order. */
function byUses(a: readonly Member[], b: readonly Member[]): number {
  return meanUses(a) - meanUses(b);
}

function meanUses(members: readonly Member[]): number {
  return members.reduce((sum, member) => sum + member.uses, 0) / members.length;
}
