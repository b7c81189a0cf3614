/**
 * What becomes of a version that serves and turns out to be beyond the learner's bounds: the version that it was trained on
 * from serves again, as a new head. A gate sees such versions before they serve; this is what is left without one. What a
 * person put there - an import, or anything in the mode `apprentice` - stays until a person says otherwise.
 */

import { HoneError } from '../../errors.js';
import type { LearnerEvent } from '../../learner/index.js';
import type { VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import type { Rollout } from './rollout.js';

/** A round that went out of bounds, as the learner tells of it. */
export type Setback = Extract<LearnerEvent, { readonly type: 'setback' }>;

/** Rolls back where it is the live version that is out of bounds; never rejects: events tell what became of it. */
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
