import type { TokenBytes } from '../../src/package/index.js';

/** Joins the bytes of all tokens, by id. `undefined` is a token without text. */
export function packTokenBytes(tokens: readonly (Uint8Array | undefined)[]): TokenBytes {
  let end = 0;
  const ends = Uint32Array.from(tokens, (token) => {
    end += token?.length ?? 0;
    return end;
  });
  return { bytes: Uint8Array.from(tokens.flatMap((token) => [...(token ?? [])])), ends };
}
