/** What an import refuses, because this server could never learn from it or not even show it. */

import { HoneError } from '../errors.js';
import { misfitOf } from '../learner/experience/misfit.js';
import type { Package } from '../package/index.js';
import type { Generation, ReplayRecord } from '../replay/index.js';

/** Version numbers are 32-bit numbers of the contract. */
const largestVersion = 2 ** 32 - 1;
/** The last moment that a date of JavaScript can be, milliseconds since 1970. */
const lastMs = 8.64e15;

/**
 * Checks a record against the package that is served. A generation of another package is stored as it is: it never
 * trains here, and this server cannot know what that package holds.
 * @throws HoneError `INVALID_REQUEST` with the field at fault
 */
export function checkImported(record: ReplayRecord, { digest, config }: Pick<Package, 'digest' | 'config'>): void {
  switch (record.type) {
    case 'score':
      checkTime('createdAtMs', record.score.createdAtMs);
      break;
    case 'preference':
      checkTime('createdAtMs', record.preference.createdAtMs);
      break;
    case 'generation':
      checkGeneration(record.generation, digest, config);
  }
}

function checkGeneration(generation: Generation, digest: string, config: Package['config']): void {
  checkTime('createdAtMs', generation.createdAtMs);
  checkTime('finishedAtMs', generation.finishedAtMs ?? 0);
  if (generation.version > largestVersion) throw refused('version', `must be at most ${largestVersion}`);
  checkTokens(generation, digest, config);
}

function checkTokens(generation: Generation, digest: string, config: Package['config']): void {
  // Of a generation that has not finished, nothing trains.
  if (generation.packageDigest !== digest || generation.state !== 'finished') return;
  const misfit = misfitOf(generation, config);
  if (misfit !== null) throw refused(misfit.field, misfit.description);
}

function checkTime(field: string, ms: number): void {
  if (ms > lastMs) throw refused(field, `must be a time of at most ${lastMs} milliseconds since 1970`);
}

function refused(field: string, description: string): HoneError {
  const message = `the record does not fit the package that is served: ${field}: ${description}`;
  return new HoneError('INVALID_REQUEST', message, { violations: [{ field, description }] });
}
