/** Checks the bearer token of a call. */

import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Returns a function that reports whether an `authorization` header carries the token. Without a token every caller is
 * accepted. It compares digests, so that the time does not depend on the header.
 */
export function tokenCheck(token: string | undefined): (header: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(`Bearer ${token}`);
  return (header) => timingSafeEqual(digest(header ?? ''), expected);
}
