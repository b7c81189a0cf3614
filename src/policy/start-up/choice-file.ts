/** Keeps the measurements for one key in a JSON file, which is replaced as a whole. */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { inWords } from '../../errors.js';
import type { ThreadMeasurement } from './measurement.js';

const format = 2;

const schema = z.object({
  format: z.literal(format),
  key: z.record(z.string(), z.unknown()),
  /** Share of the processor time of all cores that other programs used meanwhile; null: not known. */
  othersShare: z.number().min(0).max(1).nullable(),
  /** Number of times that these settings were measured on a busy machine. */
  busyTries: z.int().nonnegative(),
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

/** Measurements, and how much they can be trusted. */
export interface KeptMeasurement {
  readonly measured: readonly ThreadMeasurement[];
  /** Share of the processor time of all cores that other programs used meanwhile; null: not known. */
  readonly othersShare: number | null;
  /** Number of times that these settings were measured on a busy machine. */
  readonly busyTries: number;
}

/** What the file holds: measurements with the key, none of use, or something that Hone did not write. */
export type KeptChoice =
  | ({ readonly is: 'kept' } & KeptMeasurement)
  | { readonly is: 'none' }
  | { readonly is: 'damaged'; readonly reason: string };

/** Reads the measurements that were kept with exactly this key. Those of an earlier form of the file do not count. */
export function readChoice(path: string, key: Readonly<Record<string, unknown>>): KeptChoice {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { is: 'none' };
    return { is: 'damaged', reason: inWords(thrown) };
  }
  try {
    const content: unknown = JSON.parse(text);
    if (isOfEarlierForm(content)) return { is: 'none' };
    const { key: keptKey, measured, othersShare, busyTries } = schema.parse(content);
    return isDeepStrictEqual(keptKey, key) ? { is: 'kept', measured, othersShare, busyTries } : { is: 'none' };
  } catch (thrown) {
    return { is: 'damaged', reason: describe(thrown) };
  }
}

function describe(thrown: unknown): string {
  if (!(thrown instanceof z.ZodError)) return inWords(thrown);
  return thrown.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
}

/** Writes the file without forcing it to the disk, because lost measurements can be repeated. */
export function writeChoice(path: string, key: Readonly<Record<string, unknown>>, kept: KeptMeasurement): void {
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify({ format, key, ...kept })}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    // The next start measures again. Other parts report a disk that is full.
  }
}

function isOfEarlierForm(content: unknown): boolean {
  const written = (content as { readonly format?: unknown } | null)?.format;
  return typeof written === 'number' && written < format;
}
