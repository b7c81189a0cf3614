/**
 * Prints the command's results on standard output and its remarks on standard error. All texts of the command go through
 * this file, which escapes control characters in them: completions and names may come from anywhere.
 */

import { printable, printableJson, printableJsonText, printableText } from '../src/printable.js';

/** Prints one line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(value)}\n`);
}

/** Prints lines of text. Line breaks within a line are escaped. */
export function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${printable(line)}\n`);
}

/** Prints lines that are not part of the result, on standard error. */
export function remark(...lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`${printable(line)}\n`);
}

/** Writes a piece of a completion. On a terminal control characters are escaped; a program gets the text unchanged. */
export function writeText(piece: string): void {
  process.stdout.write(process.stdout.isTTY ? printableText(piece) : piece);
}

/** Returns a function that makes pieces of a file of JSON lines printable. The lines parse to the same values. */
export function jsonLinesForTerminal(): (piece: Uint8Array) => string {
  // A piece may end in the middle of a character.
  const decoder = new TextDecoder();
  return (piece) => printableJsonText(decoder.decode(piece, { stream: true }));
}

/** Writes a message of commander, which may quote the command line. */
export function writeUsage(text: string): void {
  process.stderr.write(printableText(text));
}

/** Prints an error as JSON, on standard error, so that standard output holds results only. */
export function printJsonError(error: object): void {
  process.stderr.write(`${printableJson({ error })}\n`);
}

/** Prints a warning as JSON, on standard error. */
export function printJsonWarning(warning: object): void {
  process.stderr.write(`${printableJson({ warning })}\n`);
}

/** Prints how far a download is as JSON, on standard error. */
export function printJsonProgress(progress: object): void {
  process.stderr.write(`${printableJson({ progress })}\n`);
}

/** Replaces the last line of a terminal on standard error; without a text, clears it. Does nothing elsewhere. */
export function rewriteLine(text = ''): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${printable(text)}`);
}

/** Clears the screen of a terminal. */
export function clearScreen(): void {
  if (process.stdout.isTTY) process.stdout.write('\u001b[H\u001b[2J');
}

/** Quotes a word for a shell if it needs quotes. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Formats a table. A column is as wide as its widest cell; numbers are aligned to the right. */
export function formatTable(header: readonly string[], cells: readonly (readonly string[])[]): string[] {
  // Escape first, because escaping changes the width of a cell.
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

/** Formats a number with a few significant digits, or undefined as an empty text. */
export function formatNumber(value: number | undefined, digits = 3): string {
  return value === undefined ? '' : String(Number(value.toPrecision(digits)));
}

/** Formats a number with fixed decimals, or undefined as an empty text. A value that rounds to zero has no sign. */
export function formatFixed(value: number | undefined, decimals: number): string {
  return value === undefined ? '' : value.toFixed(decimals).replace(/^-(?=[0.]+$)/, '');
}

/** Shortens a digest to a part that is enough to tell two apart. */
export function formatDigest(digest: string): string {
  return digest.slice(0, 12);
}

/** Formats a duration in the largest fitting unit. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** Formats a size with a binary unit. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${formatNumber(bytes / 1024 ** power)} ${units[power]}`;
}
