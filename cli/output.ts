/**
 * How the command prints: results on standard output, remarks on standard error. Nothing else of the command writes texts
 * to a terminal, so that what others wrote is made printable here, once.
 */

import { printable, printableJson, printableText } from '../proto/printable.js';

/** One line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(value)}\n`);
}

/** Lines of text: each stays one line, whatever it holds. */
export function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${printable(line)}\n`);
}

/** Remarks for people, a line each: not part of the result. */
export function remark(...lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`${printable(line)}\n`);
}

/** A piece of a completion: as it is where a program reads it, printable on a terminal. */
export function writeText(piece: string): void {
  process.stdout.write(process.stdout.isTTY ? printableText(piece) : piece);
}

/** What commander has to say: its own lines, and the words of the command line. */
export function writeUsage(text: string): void {
  process.stderr.write(printableText(text));
}

/** A failure of the command with `--json`: on standard error, so that standard output holds results alone. */
export function complainJson(error: object): void {
  process.stderr.write(`${printableJson({ error })}\n`);
}

/** Writes a line on standard error over the last such line, on a terminal; elsewhere nothing. Without a text it clears. */
export function rewriteLine(text = ''): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${printable(text)}`);
}

/** Clears the screen of a terminal. */
export function clearScreen(): void {
  if (process.stdout.isTTY) process.stdout.write('\u001b[H\u001b[2J');
}

/** A word of a command line, quoted where a shell would take it for more than one word. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Columns as wide as their widest cell; numbers to the right. */
export function formatTable(header: readonly string[], cells: readonly (readonly string[])[]): string[] {
  // As wide as they will be when they are printed.
  const rows = cells.map((row) => row.map(printable));
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const numeric = header.map((_, column) => rows.every((row) => /^(-?[\d.]+(e-?\d+)?|)$/.test(row[column] ?? '')));
  return [header, ...rows].map((row) =>
    row
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** A figure with few digits; nothing where there is none. */
export function formatNumber(value: number | undefined, digits = 3): string {
  return value === undefined ? '' : String(Number(value.toPrecision(digits)));
}

/** A figure for a column: always as many decimals, zero without a sign; nothing where there is none. */
export function formatFixed(value: number | undefined, decimals: number): string {
  return value === undefined ? '' : value.toFixed(decimals).replace(/^-(?=[0.]+$)/, '');
}

/** The start of a digest: enough to tell two apart. */
export function formatDigest(digest: string): string {
  return digest.slice(0, 12);
}

/** A moment, in local time, to the second. */
export function formatTime(milliseconds: number): string {
  const local = new Date(milliseconds - new Date(milliseconds).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace('T', ' ');
}

/** How long since, in the largest fitting unit. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** A size with a binary unit. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${formatNumber(bytes / 1024 ** power)} ${units[power]}`;
}
