/**
 * Reads texts that may hold the character U+0000. SQLite stores and compares all of such a text, but Node 22's driver
 * returns it only up to that character. So a query selects a text that a client chose with {@link whole}, and
 * {@link wholeText} converts the result. The conversion costs time only for texts that do hold the character.
 */

/** A text in a result that was selected with {@link whole}. */
export type WholeText = string | Uint8Array;

/** A column for a SELECT, under its own name or another. */
export function whole(column: string, name = column): string {
  return `CASE instr(${column}, char(0)) WHEN 0 THEN ${column} ELSE CAST(${column} AS BLOB) END AS ${name}`;
}

export function wholeText(value: WholeText): string {
  return typeof value === 'string' ? value : decoder.decode(value);
}

// `ignoreBOM` keeps a U+FEFF at the beginning, which is an ordinary character of the text.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
