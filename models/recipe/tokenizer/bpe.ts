/**
 * Trains byte-level byte-pair encoding. Words, split by GPT-2's pattern, start as bytes; then the most frequent pair of
 * neighbours is joined until the vocabulary is full. Among equal pairs the one that sorts first wins, so that the same
 * texts always give the same tokenizer.
 */

/** GPT-2's pattern. `ByteLevel` pre-tokenizers with `use_regex` apply it. */
const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A trained vocabulary. */
export interface BytePairs {
  /** The printable characters for the 256 bytes, in the order of {@link byteAlphabet}, then the joined tokens. */
  readonly tokens: readonly string[];
  /** The joins, in the order of learning. */
  readonly merges: readonly (readonly [left: string, right: string])[];
}

/** A text to learn from, with its weight. */
export interface WeightedText {
  readonly text: string;
  readonly weight: number;
}

/**
 * The printable character for each byte in a byte-level vocabulary, by byte. As in GPT-2, printable Latin-1 bytes
 * represent themselves, and the others are moved to U+0100 and above.
 */
export const byteAlphabet: readonly string[] = buildByteAlphabet();

function buildByteAlphabet(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : 0x100 + moved++));
}

interface Word {
  symbols: string[];
  readonly count: number;
}

/**
 * Learns a vocabulary of `size` tokens, including the 256 bytes, from texts.
 *
 * @returns the vocabulary; it has fewer tokens than `size` only if no pair is left that occurs twice
 */
export function trainBytePairs(texts: Iterable<WeightedText>, size: number): BytePairs {
  const words = countWords(texts);
  const pairCounts = new Map<string, number>();
  const pairWords = new Map<string, Set<Word>>();
  for (const word of words) addPairs(word, pairCounts, pairWords);

  const tokens = [...byteAlphabet];
  const known = new Set(tokens);
  const merges: [string, string][] = [];
  while (tokens.length < size) {
    const best = mostFrequent(pairCounts);
    if (best === undefined) break;
    const [left, right] = best.split(' ') as [string, string];
    merges.push([left, right]);
    const joined = left + right;
    if (!known.has(joined)) {
      known.add(joined);
      tokens.push(joined);
    }
    for (const word of [...(pairWords.get(best) ?? [])]) {
      removePairs(word, pairCounts, pairWords);
      word.symbols = join(word.symbols, left, right);
      addPairs(word, pairCounts, pairWords);
    }
  }
  return { tokens, merges };
}

function countWords(texts: Iterable<WeightedText>): Word[] {
  const counts = new Map<string, number>();
  for (const { text, weight } of texts) {
    for (const [word] of text.matchAll(wordPattern)) counts.set(word, (counts.get(word) ?? 0) + weight);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => byteAlphabet[byte] as string),
    count,
  }));
}

function pairsOf(word: Word): string[] {
  return word.symbols.slice(1).map((symbol, i) => `${word.symbols[i]} ${symbol}`);
}

function addPairs(word: Word, counts: Map<string, number>, where: Map<string, Set<Word>>): void {
  for (const pair of pairsOf(word)) {
    counts.set(pair, (counts.get(pair) ?? 0) + word.count);
    const users = where.get(pair);
    if (users === undefined) where.set(pair, new Set([word]));
    else users.add(word);
  }
}

function removePairs(word: Word, counts: Map<string, number>, where: Map<string, Set<Word>>): void {
  for (const pair of pairsOf(word)) {
    const left = (counts.get(pair) ?? 0) - word.count;
    if (left > 0) counts.set(pair, left);
    else counts.delete(pair);
    where.get(pair)?.delete(word);
  }
}

function mostFrequent(counts: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined;
  let most = 1;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) {
      best = pair;
      most = count;
    }
  }
  return best;
}

function join(symbols: readonly string[], left: string, right: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      result.push(left + right);
      i++;
    } else result.push(symbols[i] as string);
  }
  return result;
}
