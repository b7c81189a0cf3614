/** The file in which a rater keeps its place in the store, over restarts. */

import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileDurably } from '../../versions/index.js';

export interface RaterPlace {
  /** Sequence number of the last change up to which it has rated. */
  readonly sequence: number;
  /** Ids of generations before that place on which it failed. */
  readonly setAside: readonly string[];
}

const start: RaterPlace = { sequence: 0, setAside: [] };

const sequence = z.int().min(0);

/** The older form of the file is the sequence number alone. */
const schema = z.union([
  sequence.transform((number): RaterPlace => ({ ...start, sequence: number })),
  z.object({ format: z.literal(1), sequence, setAside: z.array(z.uuid()) }),
]);

/** Reads the place. Without a readable file it is the start of the store: what has a score is not scored again. */
export async function readPlace(path: string): Promise<RaterPlace> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return start;
  }
}

/** On disk when it resolves. */
export async function writePlace(path: string, { sequence: number, setAside }: RaterPlace): Promise<void> {
  await writeFileDurably(path, `${JSON.stringify({ format: 1, sequence: number, setAside })}\n`);
}
