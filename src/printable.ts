/**
 * Makes text from elsewhere safe to print. Callers choose the names of raters, subjects and metrics, and a model can write
 * anything. On a terminal such a text could clear the screen, set the window's title, reverse the direction of the text
 * after it, or look like a line of the program. Everything that `hone` and the server print goes through this file.
 */

/**
 * Control characters, line separators, half surrogate pairs, invisible characters and those that change the direction of
 * writing. The two joiners that some scripts and emoji need are allowed.
 */
const unprintable = /(?!\u200c|\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The text in one line. Characters that cannot be printed are written as in JavaScript, such as `\x1b` for escape. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => short[character] ?? escaped(character));
}

/** The text with its line feeds and tabs; the other unprintable characters are written out. */
export function printableText(text: string): string {
  return text.replace(unprintable, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

/** One line of JSON without control characters. It parses to the same value. */
export function printableJson(value: unknown): string {
  return printableJsonText(JSON.stringify(value) ?? 'null');
}

/** JSON that was written elsewhere, without control characters but line feeds. Every line parses to the same value. */
export function printableJsonText(json: string): string {
  return json.replace(unprintable, (character) =>
    character === '\n'
      ? character
      : Array.from({ length: character.length }, (_, i) => unicode(character.charCodeAt(i))).join(''),
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
