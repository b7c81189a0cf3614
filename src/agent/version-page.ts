/** Lists versions a page at a time. */

import type { Version } from '../versions/index.js';
import type { VersionPage } from './interface.js';
import { invalidRequest } from './request-errors.js';

/**
 * One page, newest first.
 * @param all versions in the order of their numbers
 * @param pageSize number of versions; 0 stands for 100
 * @param pageToken token from the page before; empty for the first page
 * @throws HoneError `INVALID_REQUEST`
 */
export function versionPage(all: readonly Version[], pageSize: number, pageToken: string): VersionPage {
  const size = pageSize === 0 ? 100 : pageSize;
  if (!Number.isInteger(size) || size < 1 || size > 1000) {
    throw invalidRequest([{ field: 'page_size', description: `must be 1 to 1000, or 0 for 100, got ${pageSize}` }]);
  }
  // A token is the number of versions that are not yet shown, so that new versions never move a page.
  const rest = pageToken === '' ? all.length : Number(pageToken);
  if (!Number.isInteger(rest) || rest < 1 || rest > all.length) {
    if (pageToken !== '') throw invalidRequest([{ field: 'page_token', description: 'is not one of this server' }]);
  }
  const from = Math.max(0, rest - size);
  return { versions: all.slice(from, rest).reverse(), nextPageToken: from === 0 ? '' : String(from) };
}
