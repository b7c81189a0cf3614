/**
 * Reads a line of JSON so that nothing of it is lost in silence.
 *
 * `JSON.parse` takes the last of two members with the same key, rounds large integers, and makes an infinity of a number
 * that is too large. Here such a line is refused, and so is one that is nested too deeply to be written again.
 */

import { HoneError } from '../errors.js';

/** Objects and lists within each other. */
const maxDepth = 64;

/** @throws HoneError `INVALID_REQUEST` */
export function parseLine(line: string): unknown {
  const { members, depth } = measure(line);
  if (depth > maxDepth) throw refused(`the line is nested ${depth} levels deep, the limit is ${maxDepth}`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw refused('the line is not JSON');
  }
  if (countMembers(value) !== members) throw refused('an object of the line holds the same key twice');
  return value;
}

/**
 * What is wrong with a number somewhere within a value, or undefined.
 * @param value of {@link parseLine}, which bounds its depth
 */
export function inexactNumber(value: unknown): string | undefined {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return 'holds a number that is too large';
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      return `holds the number ${value}, beyond 2^53, which would lose digits; write it as a text`;
    }
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  for (const one of Object.values(value)) {
    const wrong = inexactNumber(one);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** Counts the members of objects, by their colons, and the depth. The line need not be JSON. */
function measure(line: string): { readonly members: number; readonly depth: number } {
  let members = 0;
  let level = 0;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (inText) {
      if (code === backslash) at += 1;
      else if (code === quote) inText = false;
    } else if (code === quote) inText = true;
    else if (code === colon) members += 1;
    else if (code === openBracket || code === openBrace) {
      level += 1;
      depth = Math.max(depth, level);
    } else if (code === closeBracket || code === closeBrace) level -= 1;
  }
  return { members, depth };
}

const quote = 0x22;
const colon = 0x3a;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const one of value) if (typeof one === 'object') members += countMembers(one);
    return members;
  }
  for (const one of Object.values(value)) members += 1 + countMembers(one);
  return members;
}

function refused(description: string): HoneError {
  return new HoneError('INVALID_REQUEST', description, { violations: [{ field: '', description }] });
}
