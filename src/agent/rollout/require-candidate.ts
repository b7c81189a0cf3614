/** Which versions a person may still decide on. */

import { HoneError } from '../../errors.js';
import type { Version, VersionLog } from '../../versions/index.js';

/**
 * A version that has never been live: a candidate, or one on trial.
 * @param what would be done with it, as in `cannot be promoted`
 * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
 */
export function requireCandidate(versions: Pick<VersionLog, 'get'>, number: number, what: string): Version {
  const version = versions.get(number);
  if (version === undefined) throw new HoneError('VERSION_NOT_FOUND', `there is no version ${number}`);
  if (version.state === 'candidate' || version.state === 'shadow' || version.state === 'canary') return version;
  const advice = version.state === 'retired' ? '; hone rollback serves its weights again' : '';
  throw new HoneError('VERSION_NOT_SERVABLE', `version ${number} is ${version.state} and cannot be ${what}${advice}`);
}
