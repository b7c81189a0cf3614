/** The values that flags of the server accept: counts, numbers, sizes, durations, words. */

import type { ServerFlag } from './flag-table.js';

const largestCount = 2 ** 31 - 1;

/** What the value of a flag must be, if `text` is not a valid one. */
export function wrongValue(flag: ServerFlag, text: string): string | undefined {
  switch (flag.kind) {
    case 'switch':
    case 'text':
      return undefined;
    case 'choice':
      return flag.value?.split('|').includes(text) ? undefined : `must be one of ${flag.value?.replaceAll('|', ', ')}`;
    case 'number':
      return isNumeric(text) ? undefined : 'must be a number';
    case 'size':
      return parseSize(text) === undefined ? 'must be a size such as 512MB or 1GiB' : undefined;
    case 'duration':
      return parseDuration(text) === undefined
        ? 'must be days such as 30, or a duration such as 12h, 90m, 45s'
        : undefined;
    case 'count': {
      const { min = 0, max = largestCount, word } = flag;
      const value = Number(text);
      if (text === word || (isNumeric(text) && Number.isInteger(value) && value >= min && value <= max))
        return undefined;
      const range = `a whole number from ${min}${max === largestCount ? '' : ` to ${max}`}`;
      return `must be ${word === undefined ? '' : `${word} or `}${range}`;
    }
    default:
      return flag.kind satisfies never;
  }
}

function isNumeric(text: string): boolean {
  return text.trim() !== '' && Number.isFinite(Number(text));
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * Bytes of a size such as `512MB` (powers of 1000), `1.5GiB` (powers of 1024) or `65536`; undefined if it is no size.
 */
export function parseSize(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = units[unit.toLowerCase()];
  if (digits === undefined || factor === undefined) return undefined;
  const bytes = Math.floor(Number(digits) * factor);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const durations: Readonly<Record<string, number>> = { '': 86_400_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/**
 * Milliseconds of a duration such as `30` or `30d` (days), `12h`, `90m`, `45s`; undefined if it is no duration, or
 * zero.
 */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([dhms]?)$/.exec(text.trim()) ?? [];
  const milliseconds = Math.round(Number(digits) * (durations[unit] ?? Number.NaN));
  return digits !== undefined && Number.isSafeInteger(milliseconds) && milliseconds > 0 ? milliseconds : undefined;
}
