/** Seeded randomness: a run can be repeated, and a resumed run draws what it would have drawn without the break. */

export type Random = () => number;

/** Uniform numbers in [0, 1) from a 32-bit seed (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sorts keyed items. */
export type Order = <Item>(items: Iterable<readonly [string, Item]>) => (readonly [string, Item])[];

/** Draws a random order of keyed items. It depends on the keys, not on the order in which the items come. */
export function drawOrder(random: Random): Order {
  const salt = Math.floor(random() * 2 ** 32);
  return (items) =>
    Array.from(items, (item) => ({ item, rank: mixed(item[0], salt) }))
      .sort((a, b) => a.rank - b.rank || (a.item[0] < b.item[0] ? -1 : 1))
      .map(({ item }) => item);
}

/** A 32-bit hash of a text: FNV-1a, then the last step of MurmurHash3, without which similar keys stay neighbours. */
function mixed(text: string, salt: number): number {
  let hash = (0x811c9dc5 ^ salt) >>> 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
