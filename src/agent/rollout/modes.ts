/**
 * The mode decides what happens to a candidate that has passed the gate. A file in the data directory keeps the mode.
 */

import { readFile } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { writeFileDurably } from '../../versions/index.js';

/**
 * apprentice: the candidate waits for a person; shadow: it answers in the background and waits for a person; canary: it
 * serves a share of traffic until its rewards decide; auto: it goes live at once.
 */
export const modes = ['apprentice', 'shadow', 'canary', 'auto'] as const;
export type Mode = (typeof modes)[number];

/** The mode of a server that was never given one. */
export const defaultMode: Mode = 'auto';

export interface ModeKeeper {
  readonly mode: Mode;
  /** On disk when it resolves, if there is a data directory. @throws HoneError `STORE_FULL`, `INTERNAL` */
  set(mode: Mode): Promise<void>;
}

/** Keeps the mode in memory, for agents without a data directory. */
export function keepMode(mode: Mode = defaultMode): ModeKeeper {
  let current = mode;
  return {
    get mode() {
      return current;
    },
    async set(next) {
      current = next;
    },
  };
}

/**
 * Reads the mode of a data directory. If a mode is given, it replaces the stored one for good.
 * @throws HoneError `STORE_CORRUPT` when the file is damaged, with the remedy
 */
export async function openModeFile(path: string, given?: Mode): Promise<ModeKeeper> {
  const stored = await readMode(path, given !== undefined);
  let current = given ?? stored ?? defaultMode;
  const write = (mode: Mode) => writeFileDurably(path, `${JSON.stringify({ format: 1, mode })}\n`);
  if (current !== stored) await write(current);
  return {
    get mode() {
      return current;
    },
    async set(next) {
      if (next === current) return;
      await write(next).catch((cause: NodeJS.ErrnoException) => {
        const code = cause.code === 'ENOSPC' ? 'STORE_FULL' : 'INTERNAL';
        throw new HoneError(code, `the mode cannot be written to ${path}: ${cause.message}`, { cause });
      });
      current = next;
    },
  };
}

/** @param replaced whether the stored mode will be overwritten in any case */
async function readMode(path: string, replaced: boolean): Promise<Mode | undefined> {
  try {
    const { format, mode } = Object(JSON.parse(await readFile(path, 'utf8')));
    if (format === 1 && modes.includes(mode)) return mode;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (!(error instanceof SyntaxError)) throw HoneError.from(error);
  }
  if (replaced) return undefined;
  throw new HoneError(
    'STORE_CORRUPT',
    `${path} is damaged and does not hold the mode of candidates; start the server with --mode ${modes.join('|')} to set the mode`,
  );
}
