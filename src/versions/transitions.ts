/**
 * The allowed changes of a version's state: candidate -> shadow | canary | live | rejected; shadow | canary -> live |
 * rejected, or candidate again if the trial ends undecided; live -> retired.
 */

import { HoneError } from '../errors.js';
import type { Version, VersionState } from './types.js';

const allowed: Readonly<Record<VersionState, readonly VersionState[]>> = {
  candidate: ['shadow', 'canary', 'live', 'rejected'],
  shadow: ['candidate', 'live', 'rejected'],
  canary: ['candidate', 'live', 'rejected'],
  live: ['retired'],
  retired: [],
  rejected: [],
};

/**
 * Returns the version in its next state.
 * @throws HoneError `VERSION_NOT_SERVABLE` if the change is not allowed
 */
export function transition(version: Version, to: VersionState): Version {
  if (!allowed[version.state].includes(to)) {
    throw new HoneError(
      'VERSION_NOT_SERVABLE',
      `version ${version.number} is ${version.state} and cannot become ${to}` +
        (version.state === 'retired' && to === 'live' ? '; roll back to it instead' : ''),
    );
  }
  return { ...version, state: to };
}
