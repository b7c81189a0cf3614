/** What both judges need to know about the form of a text. */

/** The words that hold English sentences together; a list of keywords has none. */
const functionWords = new Set(
  (
    'a about after again all am an and any are as at be because been but by can could do does for from had has have he her ' +
    'him his i if in is it its keeps me might my no not now of on or our she should so than that the their them they this ' +
    'time to was we what when which who will with would you your'
  ).split(' '),
);

/** Sentences: what ends with `.`, `?` or `!`, and what is left after the last of them. */
export function sentencesOf(text: string): string[] {
  return (text.match(/[^.!?]+[.!?]*/g) ?? []).map((sentence) => sentence.trim()).filter((sentence) => sentence !== '');
}

/** How many of the words hold sentences together; a list of keywords has hardly any. */
export function countFunctionWords(words: readonly string[]): number {
  return words.filter((word) => functionWords.has(word)).length;
}

/** How many runs of three words occur again. */
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

/** Whether a text begins with a capital and ends with `.`, `?` or `!`. */
export function isFramed(text: string): { readonly capital: boolean; readonly end: boolean } {
  const trimmed = text.trim();
  return { capital: /^["'(]?[A-Z]/.test(trimmed), end: /[.!?]["')]?$/.test(trimmed) };
}

/** 1 up to `from`, 0 from `to`, a straight line between (works downwards and upwards). */
export function ramp(value: number, from: number, to: number): number {
  return Math.min(1, Math.max(0, (to - value) / (to - from)));
}
