/** Measures of the form of a text, shared by both judges. */

/** Common words that connect English sentences. A list of keywords has none. */
const functionWords = new Set(
  (
    'a about after again all am an and any are as at be because been but by can could do does for from had has have he her ' +
    'him his i if in is it its keeps me might my no not now of on or our she should so than that the their them they this ' +
    'time to was we what when which who will with would you your'
  ).split(' '),
);

/** Splits a text into sentences, which end with `.`, `?` or `!`; the rest of the text is the last one. */
export function sentencesOf(text: string): string[] {
  return (text.match(/[^.!?]+[.!?]*/g) ?? []).map((sentence) => sentence.trim()).filter((sentence) => sentence !== '');
}

/** Counts the words that connect sentences. */
export function countFunctionWords(words: readonly string[]): number {
  return words.filter((word) => functionWords.has(word)).length;
}

/** Counts the runs of three words that occur again. */
export function repeatedRuns(words: readonly string[]): number {
  const seen = new Set<string>();
  let repeated = 0;
  for (let i = 0; i + 3 <= words.length; i++) {
    const run = words.slice(i, i + 3).join(' ');
    if (seen.has(run)) repeated++;
    seen.add(run);
  }
  return repeated;
}

/** Returns whether a text begins with a capital letter, and whether it ends with `.`, `?` or `!`. */
export function isFramed(text: string): { readonly capital: boolean; readonly end: boolean } {
  const trimmed = text.trim();
  return { capital: /^["'(]?[A-Z]/.test(trimmed), end: /[.!?]["')]?$/.test(trimmed) };
}

/** Returns 1 up to `from`, 0 from `to` on, and a straight line between. `to` may be below `from`. */
export function ramp(value: number, from: number, to: number): number {
  return Math.min(1, Math.max(0, (to - value) / (to - from)));
}
