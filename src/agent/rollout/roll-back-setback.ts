/**
 * Rolls the live version back when the learner finds it out of bounds: the weights that it was trained from serve
 * again.
 *
 * With a gate such a version is found before it serves. Without one, this is the last protection. A version that a
 * person put there, by an import or in the mode `apprentice`, stays until a person decides otherwise.
 */

import { HoneError } from '../../errors.js';
import type { LearnerEvent } from '../../learner/index.js';
import type { VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import type { Rollout } from './rollout.js';

/** The learner's report of a round that went out of bounds. */
export type Setback = Extract<LearnerEvent, { readonly type: 'setback' }>;

/** Rolls back if the live version itself is out of bounds. Never rejects: an event reports a rollback that fails. */
export async function rollBackSetback(
  { check, liveVersion }: Setback,
  {
    rollout,
    versions,
    events,
  }: { readonly rollout: Rollout; readonly versions: VersionLog; readonly events: EventLog },
): Promise<void> {
  const live = versions.live();
  const isOurs = live.number === liveVersion && live.origin === 'learned' && rollout.status().mode !== 'apprentice';
  if (check !== 'live' || !isOurs || live.parent === null) return;
  try {
    await rollout.rollback(live.parent);
  } catch (thrown) {
    const { code, message } = HoneError.from(thrown);
    const detail = `version ${live.number} is out of bounds and could not be rolled back: ${code}: ${message}`;
    events.publish({ type: 'learner_setback', version: live.number, detail });
  }
}
