/** Seeded random numbers, on which all randomness of the recipe is based. */

/** A generator of random numbers. The same seed gives the same numbers on every machine. */
export interface Random {
  /** Draws uniformly from [0, 1). */
  next(): number;
  /** Draws an integer uniformly from [0, n). */
  below(n: number): number;
  /** Returns true with the given probability. */
  chance(probability: number): boolean;
  /** Draws an item, all equally likely. The list must not be empty. */
  pick<T>(items: readonly T[]): T;
  /** Returns a copy of the list in random order. */
  shuffle<T>(items: readonly T[]): T[];
}

/** Returns a 32-bit hash of a string (FNV-1a with a final mix), the same on every machine. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Creates a generator (mulberry32). Neighbouring seeds and different salts give different numbers. */
export function createRandom(seed: number, salt = ''): Random {
  let state = mix(hashText(salt) ^ mix(seed >>> 0) ^ Math.floor(seed / 2 ** 32));
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: <T>(items: readonly T[]): T => items[below(items.length)] as T,
    shuffle: <T>(items: readonly T[]): T[] => {
      const result = [...items];
      for (let i = result.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [result[i], result[j]] = [result[j] as T, result[i] as T];
      }
      return result;
    },
  };
}

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
