/** The event for a step of a version that failed. */

import { inWords } from '../../errors.js';
import type { Version } from '../../versions/index.js';
import type { EventLog } from './event-log.js';

/**
 * Reports that a step failed. This is no verdict: the version stays as the version log has it.
 * @param what the step and what happens next, in words
 * @param version absent if the adapter is no version yet
 */
export function publishVersionFailure(events: EventLog, what: string, thrown: unknown, version?: Version): void {
  const named = version === undefined ? {} : { version: version.number, adapterDigest: version.adapterDigest };
  events.publish({ type: 'version_failed', ...named, detail: `${what}: ${inWords(thrown)}` });
}
