/** Lists versions, and lets people decide which of them serve. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import type { Version, VersionLog } from '../versions/index.js';
import type { Loop } from './connect-loop.js';
import type { VersionControl } from './interface.js';
import { check, textUpTo } from './request-errors.js';
import { versionPage } from './version-page.js';

const rejection = z.object({ reason: textUpTo(512) });

export function versionControl(loop: Loop): VersionControl {
  const { closing, versions, rollout, pkg, servesAdapters = true, maxImportRank } = loop;
  /** For calls that change which version serves. */
  const prepare = (number: number) => {
    closing.refuse();
    requireVersion(versions, number);
  };
  return {
    listVersions: (pageSize, pageToken) => versionPage(versions.list(), pageSize, pageToken),
    getVersion: (number) => requireVersion(versions, number),
    async rollback(number) {
      prepare(number);
      return rollout.rollback(number);
    },
    rollout: () => rollout.status(),
    async setMode(mode) {
      closing.refuse();
      await rollout.setMode(mode);
      return rollout.status();
    },
    async promoteVersion(number) {
      prepare(number);
      return rollout.promote(number);
    },
    async rejectVersion(number, reason) {
      prepare(number);
      const { reason: checked } = check(rejection, { reason });
      return rollout.reject(number, checked === '' ? 'a person said so' : checked);
    },
    async exportVersion(number) {
      requireVersion(versions, number);
      return versions.export(number, pkg.name);
    },
    maxImportBytes: versions.maxImportBytes,
    async importVersion(files) {
      closing.refuse();
      if (servesAdapters) return rollout.import(files, maxImportRank);
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        'the server began without a learner and without an adapter, so its steps have no room for one; ' +
          'start it with --adapters on, and import again',
      );
    },
  };
}

/**
 * @param field the field of the request that names the version
 * @throws HoneError `VERSION_NOT_FOUND`
 */
export function requireVersion(versions: VersionLog, number: number, field = 'number'): Version {
  const version = versions.get(number);
  if (version !== undefined) return version;
  throw new HoneError(
    'VERSION_NOT_FOUND',
    `there is no version ${number}; versions go from 0 to ${versions.list().length - 1}`,
    { violations: [{ field, description: `there is no version ${number}` }] },
  );
}
