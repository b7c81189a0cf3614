/** A file of measurements that hold for one key: one JSON object, replaced as a whole. Whatever is wrong with it, it is as if it were not there. */

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

/** What was kept under exactly this key. */
export function readChoice(path: string, key: Readonly<Record<string, unknown>>): ThreadMeasurement[] | undefined {
  try {
    const kept = schema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return isDeepStrictEqual(kept.key, key) ? kept.measured : undefined;
  } catch {
    return undefined;
  }
}

/** Not forced to the disk: what is lost is measured again. */
export function writeChoice(
  path: string,
  key: Readonly<Record<string, unknown>>,
  measured: readonly ThreadMeasurement[],
): void {
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify({ format: 1, key, measured })}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    // A full disk is said elsewhere, where it matters.
  }
}
