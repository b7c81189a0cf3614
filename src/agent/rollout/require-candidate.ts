/** Refuses a person's decision on a version that was decided already. */

import { HoneError } from '../../errors.js';
import type { Version, VersionLog } from '../../versions/index.js';

/**
 * The version, if it is a candidate or on trial.
 * @param what the decision, as in `cannot be promoted`
 * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
 */
export function requireCandidate(versions: Pick<VersionLog, 'get'>, number: number, what: string): Version {
  const version = versions.get(number);
  if (version === undefined) throw new HoneError('VERSION_NOT_FOUND', `there is no version ${number}`);
  if (version.state === 'candidate' || version.state === 'shadow' || version.state === 'canary') return version;
  const advice = version.state === 'retired' ? '; hone rollback serves its weights again' : '';
  throw new HoneError('VERSION_NOT_SERVABLE', `version ${number} is ${version.state} and cannot be ${what}${advice}`);
}
