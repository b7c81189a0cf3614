/** Reads the merges of a byte-pair encoding from `tokenizer.json`. */

import { closeBracket, comma, type JsonBytes, openBracket, UnexpectedJson } from './json-bytes.js';
import { downloadAgain, unusable } from './refusal.js';
import type { Vocabulary } from './vocabulary.js';

/**
 * Reads an array of merges: for each, left token, right token, and the token of both.
 * @throws HoneError `PACKAGE_INVALID` if one of them is no token
 */
export function readMerges(json: JsonBytes, vocabulary: Vocabulary): Uint32Array {
  const written = new Uint8Array(json.remaining);
  let triples = new Uint32Array(1024 * 3);
  let count = 0;
  json.list(openBracket, closeBracket, () => {
    const [middle, end] = readPair(json, written);
    if (count * 3 === triples.length) triples = enlarged(triples);
    if (!vocabulary.findMerge(written, middle, end, triples, count * 3)) {
      const text = (from: number, to: number) => JSON.stringify(Buffer.from(written.subarray(from, to)).toString());
      const parts = `${text(0, middle)} and ${text(middle, end)}`;
      throw unusable(`has a merge of ${parts} in which not all is a token`, downloadAgain);
    }
    count += 1;
  });
  return triples.slice(0, count * 3);
}

/**
 * Writes the two texts of a merge one behind the other. Older files have them as one text, with a space between.
 * @returns where the second begins, and where it ends
 */
function readPair(json: JsonBytes, written: Uint8Array): readonly [middle: number, end: number] {
  if (json.take(openBracket)) {
    const middle = json.string(written, 0);
    json.expect(comma);
    const end = json.string(written, middle);
    json.expect(closeBracket);
    return [middle, end];
  }
  const length = json.string(written, 0);
  let space = 1;
  while (space < length && written[space] !== 0x20) space += 1;
  if (space >= length) throw new UnexpectedJson('a merge is not two texts');
  written.copyWithin(space, space + 1, length);
  return [space, length - 1];
}

function enlarged(numbers: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}
