/** Times as the commands read and print them. All are UTC, unless a text that is read has an offset of its own. */

import { InvalidArgumentError } from 'commander';

/** What flags say about the times that they take. */
export const timeHelp =
  'a date (2026-01-31) or a date with a time (2026-01-31T12:00), in UTC unless it ends with an offset (+02:00)';

/** Formats a time in UTC, to the second. {@link parseTime} reads it. */
export function formatTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

const form = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(\.\d{1,9})?)?(?:Z|([+-])(\d\d):?(\d\d))?)?$/i;

/** Parses a time for commander, into milliseconds since 1970. Times before 1970 become 0. */
export function parseTime(text: string): number {
  const [, day, minutes = '00:00', seconds = '00', fraction = '', sign = '+', hours = '00', rest = '00'] =
    form.exec(text.trim()) ?? [];
  const written = `${day}T${minutes}:${seconds}`;
  const time = new Date(`${written}Z`);
  const offsetMinutes = Number(hours) * 60 + Number(rest);
  // A day that a month does not have becomes one of the next month, so the time is written again and compared.
  const exists = !Number.isNaN(time.getTime()) && time.toISOString().slice(0, 19) === written;
  if (day === undefined || !exists || Number(rest) > 59 || offsetMinutes > 14 * 60) {
    throw new InvalidArgumentError(`It must be ${timeHelp}.`);
  }
  const offsetMs = (sign === '-' ? -1 : 1) * offsetMinutes * 60_000;
  return Math.max(0, time.getTime() + Math.floor(Number(`0${fraction}`) * 1000) - offsetMs);
}
