/**
 * Texts that may hold the character U+0000. SQLite keeps and compares all of such a text; Node 22's driver gives it up to
 * that character only. Where somebody else chose the text, it is asked for with {@link whole} and read with
 * {@link wholeText}; what costs time is done for texts that do hold it.
 */

/** A text of a result that was asked for with {@link whole}. */
export type WholeText = string | Uint8Array;

/** A column for a SELECT, under its own name or another one. */
export function whole(column: string, name = column): string {
  return `CASE instr(${column}, char(0)) WHEN 0 THEN ${column} ELSE CAST(${column} AS BLOB) END AS ${name}`;
}

export function wholeText(value: WholeText): string {
  return typeof value === 'string' ? value : decoder.decode(value);
}

// A text may begin with U+FEFF: it is a character like others here.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
