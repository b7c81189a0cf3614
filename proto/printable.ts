/**
 * Texts of others, shown to people. Whoever calls the server chooses the names of raters, subjects, metrics and what else
 * it keeps; a model writes whatever it likes. On a terminal such a text could clear the screen, set the title, turn the
 * direction of what follows, or pass for a line of its own. Everything that `hone` and the server print goes through here.
 *
 * It stands in the contract because command and server, which know nothing else of each other, both need it.
 */

/**
 * Control characters, separators of lines, half surrogate pairs, and what is invisible or turns the direction of writing;
 * but the two joiners that some scripts and emoji are written with.
 */
const unprintable = /(?!\u200c|\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A text in one line: what cannot be printed is written as in JavaScript, `\x1b` for the escape character. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => short[character] ?? escaped(character));
}

/** A text that may have several lines: line feeds and tabs stay. */
export function printableText(text: string): string {
  return text.replace(unprintable, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

/** One line of JSON in which a terminal finds nothing to obey; it parses to the same value. */
export function printableJson(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  return (text ?? 'null').replace(unprintable, (character) =>
    Array.from({ length: character.length }, (_, i) => unicode(character.charCodeAt(i))).join(''),
  );
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? unicode(code) : `\\u{${code.toString(16)}}`;
}

function unicode(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
