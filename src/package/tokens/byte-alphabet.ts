/** The characters in which byte-level vocabularies write bytes. */

/** By byte: the character that GPT-2's vocabularies write for it. Printable bytes are kept; others start at U+0100. */
export const byteAlphabet: readonly string[] = makeByteAlphabet();

/** By code of a character: the byte that it stands for. */
export const byteOfCode: readonly (number | undefined)[] = makeTable();

function makeByteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}

function makeTable(): (number | undefined)[] {
  const table = new Array<number | undefined>(512).fill(undefined);
  for (const [byte, character] of byteAlphabet.entries()) table[character.charCodeAt(0)] = byte;
  return table;
}
