/**
 * Ids of the buffer's entries. An entry is a generation among the completions of its prompt, or one side of a compared
 * pair.
 */

/** Both ids, in the order in which the store keeps them. */
export function pairKey(first: string, second: string): string {
  return `${first}>${second}`;
}

export function idsOf(key: string): string[] {
  return key.split('>');
}

export function entryOf(pair: string, side: number): string {
  return `${pair}#${side}`;
}

/** The generation whose completion an entry is. */
export function generationOf(entry: string): string {
  const [key = '', side = 0] = entry.split('#');
  return idsOf(key)[Number(side)] ?? key;
}

/** The generations that an entry is made of. */
export function generationsOf(entry: string): string[] {
  return idsOf(entry.split('#')[0] ?? '');
}
