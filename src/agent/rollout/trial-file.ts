/** Keeps the state of the trial in `trial.json` in the data directory, so that a restart goes on from there. */

import { readFile } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { isSequentialState, type SequentialState } from '../../gate/index.js';
import { writeFileDurably } from '../../versions/index.js';

export interface SavedTrial {
  /** Number of the version on trial. */
  readonly version: number;
  /** Number of the version that is live meanwhile. */
  readonly live: number;
  readonly startedAtMs: number;
  /** `null` for a shadow, which has no state. */
  readonly state: SequentialState | null;
  /** The margin that `state` was computed with. */
  readonly margin: number;
}

export interface TrialStore {
  /** The trial that was saved last; `null` if there is none, or none that can be read. */
  read(): Promise<SavedTrial | null>;
  /** On disk when it resolves. */
  write(trial: SavedTrial): Promise<void>;
}

/** For agents without a data directory. */
export const noTrialStore: TrialStore = { read: async () => null, write: async () => undefined };

/**
 * Keeps the trial in a file. A damaged file counts as absent: the trial begins again, which costs time and no safety.
 */
export function trialFile(path: string): TrialStore {
  return {
    async read() {
      try {
        const { format, ...trial } = Object(JSON.parse(await readFile(path, 'utf8')));
        return format === 1 && isSavedTrial(trial) ? trial : null;
      } catch (error) {
        if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw HoneError.from(error);
      }
    },
    write: (trial) => writeFileDurably(path, `${JSON.stringify({ format: 1, ...trial })}\n`),
  };
}

function isSavedTrial(value: object): value is SavedTrial {
  const { version, live, startedAtMs, state, margin } = value as Partial<SavedTrial>;
  return (
    [version, live, startedAtMs].every(Number.isSafeInteger) &&
    typeof margin === 'number' &&
    (state === null || isSequentialState(state))
  );
}
