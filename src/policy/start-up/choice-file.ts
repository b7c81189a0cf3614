/**
 * Keeps the measurements for one key in a JSON file, which is replaced as a whole. A file that cannot be used is
 * treated as absent.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { ThreadMeasurement } from './measurement.js';

const schema = z.object({
  format: z.literal(1),
  key: z.record(z.string(), z.unknown()),
  measured: z.array(
    z.object({
      threads: z.int().min(1),
      spin: z.boolean(),
      oneRowMs: z.number().positive(),
      eightRowsMs: z.number().positive(),
      neighbourShare: z.number().nonnegative(),
    }),
  ),
});

/** Returns the measurements that were kept with exactly this key. */
export function readChoice(path: string, key: Readonly<Record<string, unknown>>): ThreadMeasurement[] | undefined {
  try {
    const kept = schema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return isDeepStrictEqual(kept.key, key) ? kept.measured : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the file without forcing it to the disk, because lost measurements can be repeated. */
export function writeChoice(
  path: string,
  key: Readonly<Record<string, unknown>>,
  measured: readonly ThreadMeasurement[],
): void {
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify({ format: 1, key, measured })}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    // The next start measures again. Other parts report a disk that is full.
  }
}
