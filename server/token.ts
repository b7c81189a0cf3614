/** The bearer token, as every door asks for it. */

import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Tells whether an `authorization` header carries the token; without a token every caller may come. Digests are
 * compared: their length is always the same, and so is the time.
 */
export function tokenCheck(token: string | undefined): (header: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(`Bearer ${token}`);
  return (header) => timingSafeEqual(digest(header ?? ''), expected);
}
