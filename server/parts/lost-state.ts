/** Compares a data directory that is being opened with what its record knows, and refuses or reports what is lost. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoopEvent } from '../../src/agent/index.js';
import { type Mode, modes } from '../../src/agent/rollout/modes.js';
import { HoneError } from '../../src/errors.js';
import type { ReplayStore } from '../../src/replay/index.js';
import type { KnownNumber } from '../../src/versions/index.js';
import type { ServerOptions } from '../options.js';
import type { DataDirectory } from './data-directory.js';
import type { DirectoryRecord } from './directory-record.js';

export type OnRebuilt = (what: string) => void;

/**
 * Refuses to make a new store in the place of one that is missing.
 * @param lastEvent number of the last event that was given; 0 if no server has served here
 * @throws HoneError `STATE_LOST`; `INVALID_OPTIONS` if a person goes on without a store that is there
 */
export function checkStoreIsThere(
  data: DataDirectory,
  record: DirectoryRecord,
  { startWithout }: Pick<ServerOptions, 'startWithout'>,
  lastEvent: number,
  onRebuilt: OnRebuilt,
): void {
  const { replayPath } = data;
  const isThere = existsSync(replayPath);
  if (startWithout !== 'replay') {
    const hadOne = record.lost.includes('replay.sqlite') || (lastEvent > 0 && hasLearned(data));
    if (isThere || !hadOne) return;
    throw new HoneError(
      'STATE_LOST',
      `the store ${replayPath} is missing, though this data directory had one. Nothing was changed. Restore it from a backup, or start the server once with --start-without replay to begin with an empty store`,
    );
  }
  if (isThere) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `the store ${replayPath} is there: start the server without --start-without replay; to begin with an empty store, move it and its -wal away first`,
    );
  }
  onRebuilt(
    `the store ${replayPath} was missing, and a new and empty one is made because --start-without replay was given`,
  );
}

/** Whether a version was learned here, which needs a store. */
function hasLearned({ versionsPath, versionsCopyPath }: DataDirectory): boolean {
  return [join(versionsPath, 'log.jsonl'), versionsCopyPath].some(
    (path) => existsSync(path) && /"origin":"learned"/.test(readFileSync(path, 'utf8')),
  );
}

/** Reports files that are missing and whose writers make them again, or do without. Call it before the store opens. */
export function reportLostFiles(data: DataDirectory, record: DirectoryRecord, onRebuilt: OnRebuilt): void {
  const logPath = `${data.replayPath}-wal`;
  // A server that stops empties the log and removes it. One that is killed leaves it.
  if (data.wasKilled && existsSync(data.replayPath) && !existsSync(logPath)) {
    onRebuilt(
      `${logPath} was missing after the server had been killed; unless another program has moved it into the store, or the store was restored, what was stored last is lost`,
    );
  }
  const again: readonly (readonly [name: string, how: string])[] = [
    ['events.last', 'it is made again from events.jsonl'],
    ['versions.copy.jsonl', 'it is made again from versions/log.jsonl'],
    ['learner/checkpoint.safetensors', 'the learner goes on from the live version and reads the store again'],
  ];
  for (const [name, how] of again) if (record.lost.includes(name)) onRebuilt(`${name} was missing; ${how}`);
  for (const name of record.lost.filter((one) => one.startsWith('raters/'))) {
    onRebuilt(`${name} was missing; this rater looks through the store again and scores what it has not scored`);
  }
}

/** Versions that other files name, so that their numbers were given. */
export async function knownVersions(
  record: DirectoryRecord,
  events: readonly LoopEvent[],
  replay: Pick<ReplayStore, 'versionsWithLessons'>,
): Promise<KnownNumber[]> {
  const inEvents = Math.max(-1, ...events.map(({ version }) => version ?? -1));
  // The record has a lower bound at hand. Without one, as in a directory of an earlier Hone, the store is asked.
  const learned = record.isKnown ? [] : await replay.versionsWithLessons().catch(() => []);
  const known: readonly KnownNumber[] = [
    { number: record.held.nextVersion - 1, from: 'directory.json' },
    { number: inEvents, from: 'events.jsonl' },
    { number: learned.at(-1) ?? -1, from: 'replay.sqlite' },
  ];
  return known.filter(({ number }) => number >= 0);
}

/** Whether a mode was stored. A first start that failed, as on a full disk, may have left events without a mode. */
export function hadMode(
  { versionsPath, versionsCopyPath }: DataDirectory,
  { isKnown, held }: DirectoryRecord,
): boolean {
  if (isKnown) return held.mode !== undefined || held.files.includes('mode.json');
  // Every server stores the mode before its first version.
  return existsSync(join(versionsPath, 'log.jsonl')) || existsSync(versionsCopyPath);
}

/** The mode that the newest event about it names. */
export function lastModeIn(events: readonly LoopEvent[]): Mode | undefined {
  const named = events.findLast(({ type }) => type === 'mode_changed')?.detail;
  return modes.find((mode) => mode === named);
}

/** Number of the last change that was made in the store. */
export async function lastChangeOf(replay: Pick<ReplayStore, 'status'>): Promise<number> {
  return (await replay.status()).lastSequence;
}

/** Reports a store that an older copy has replaced. */
export async function reportOlderStore(
  { held }: DirectoryRecord,
  { startWithout }: Pick<ServerOptions, 'startWithout'>,
  replay: Pick<ReplayStore, 'status'>,
  onRebuilt: OnRebuilt,
): Promise<void> {
  // This store is a new one, and `checkStoreIsThere` has reported that.
  if (startWithout === 'replay') return;
  // A store that is damaged may not be able to tell; its own checks report that.
  const lastChange = await lastChangeOf(replay).catch(() => held.lastChange);
  if (lastChange < held.lastChange) {
    onRebuilt(
      `replay.sqlite ends with change ${lastChange}, but had ${held.lastChange} before: it is an older copy. What was stored since is not in it; erase again what was erased since`,
    );
  }
}
