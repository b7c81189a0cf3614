/**
 * The mode decides what happens to a candidate that has passed the gate. A file in the data directory keeps the mode, and
 * so does a second place. If they differ, or one of them is lost, the mode never becomes less careful than what is left.
 */

import { readFile } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { fileSystemError, isNoRoom, systemCode } from '../../file-system-errors.js';
import { writeFileDurably } from '../../versions/index.js';

/**
 * apprentice: the candidate waits for a person; shadow: it answers in the background and waits for a person; canary: it
 * serves a share of traffic until its rewards decide; auto: it goes live at once. The most careful one comes first.
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

/** The second place that keeps the mode. */
export interface ModeCopy {
  readonly mode: Mode | undefined;
  /** On disk when it resolves. */
  write(mode: Mode): Promise<void>;
}

export interface ModeFileOptions {
  /** Replaces the stored mode for good. */
  readonly given?: Mode | undefined;
  readonly copy?: ModeCopy;
  /** Whether a mode was stored in this data directory before. Default false. */
  readonly isUsed?: boolean;
  /** The mode that the newest event about it named. */
  readonly lastNamed?: Mode | undefined;
  /** Called with what was rebuilt, and with a mode that cannot be stored. */
  readonly onRebuilt?: (what: string) => void;
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

const noCopy: ModeCopy = { mode: undefined, write: async () => undefined };

/**
 * Reads the mode of a data directory.
 * @throws HoneError `STORE_CORRUPT` if the file is damaged, `STATE_LOST` if it is missing, and no other place knows the mode
 */
export async function openModeFile(path: string, options: ModeFileOptions = {}): Promise<ModeKeeper> {
  const { copy = noCopy, onRebuilt = () => undefined } = options;
  const stored = await readMode(path);
  let current = decide(path, stored, copy.mode, options, onRebuilt);
  const write = async (mode: Mode) => {
    await copy.write(mode);
    await writeFileDurably(path, `${JSON.stringify({ format: 1, mode })}\n`);
  };
  const isKnown = (copy === noCopy || copy.mode === current) && stored === current;
  try {
    if (!isKnown) await write(current);
  } catch (thrown) {
    const error = fileSystemError(thrown, `the mode ${current} cannot be written to ${path}`);
    if (!isNoRoom(thrown)) throw error;
    // A server on a full disk serves, and does so in this mode.
    onRebuilt(`${error.message}. It holds for this run; set it again when there is room`);
  }
  return {
    get mode() {
      return current;
    },
    async set(next) {
      if (next === current) return;
      await write(next).catch((thrown) => {
        throw fileSystemError(thrown, `the mode cannot be written to ${path}`);
      });
      current = next;
    },
  };
}

function decide(
  path: string,
  stored: Mode | 'missing' | 'damaged',
  copied: Mode | undefined,
  { given, isUsed = false, lastNamed }: ModeFileOptions,
  onRebuilt: (what: string) => void,
): Mode {
  if (given !== undefined) return given;
  const howToChange = '`hone mode` changes it';
  if (stored !== 'missing' && stored !== 'damaged') {
    if (copied === undefined || copied === stored) return stored;
    const careful = modes.find((mode) => mode === stored || mode === copied) ?? stored;
    onRebuilt(
      `${path} holds the mode ${stored}, but directory.json holds ${copied}; the more careful one counts, ${careful}; ${howToChange}`,
    );
    return careful;
  }
  const known = copied ?? (stored === 'missing' ? lastNamed : undefined);
  if (known !== undefined) {
    onRebuilt(
      `${path} was ${stored}; the mode is ${known}, as another file of the data directory knows; ${howToChange}`,
    );
    return known;
  }
  if (stored === 'missing' && !isUsed) return defaultMode;
  throw new HoneError(
    stored === 'damaged' ? 'STORE_CORRUPT' : 'STATE_LOST',
    `${path} is ${stored}, and nothing else knows the mode of candidates; start the server with --mode ${modes.join('|')} to set the mode`,
  );
}

async function readMode(path: string): Promise<Mode | 'missing' | 'damaged'> {
  try {
    const { format, mode } = Object(JSON.parse(await readFile(path, 'utf8')));
    return format === 1 && modes.includes(mode) ? mode : 'damaged';
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return 'missing';
    if (thrown instanceof SyntaxError) return 'damaged';
    throw fileSystemError(thrown, `${path} cannot be read`);
  }
}
