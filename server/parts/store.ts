/** Opens the replay store while the server opens other parts. */

import type { EventLog } from '../../src/agent/index.js';
import { inWords } from '../../src/errors.js';
import { isNoRoom } from '../../src/file-system-errors.js';
import type { EvictionReport, LogHeld, ReplayStore } from '../../src/replay/index.js';
import { openReplayStore, type ReplayStoreOptions } from '../../src/replay/store.js';
import type { ServerOptions } from '../options.js';
import type { DataDirectory } from './data-directory.js';
import type { OnFatal } from './policy.js';
import type { SpareRoom } from './spare-room.js';

/** The store while its worker opens it. */
interface OpeningStore {
  readonly opening: Promise<ReplayStore>;
  close(): Promise<void>;
}

export function openStoreInBackground(
  { retention }: ServerOptions,
  { replayPath }: DataDirectory,
  events: EventLog,
  onCrash: OnFatal,
  spare: SpareRoom,
): OpeningStore {
  const options: ReplayStoreOptions = {
    path: replayPath,
    ...retention,
    onCrash,
    onEvicted: (report) => events.publish({ type: 'replay_evicted', numbers: evictionNumbers(report) }),
    onSweepFailed: (error) => events.publish({ type: 'eviction_failed', detail: inWords(error) }),
    onLogHeld: (held) => events.publish({ type: 'replay_log_held', ...describeHeld(held) }),
  };
  const opening = openReplayStore({ ...options, onFullDisk: 'refuse' }).catch((thrown) => {
    if (!isNoRoom(thrown)) throw thrown;
    // On a full disk, the store opens in the room that was kept for this, and then refuses writes as it does while it
    // runs. Without that room it is read at least.
    spare.giveBack();
    return openReplayStore(options);
  });
  const opened = opening.catch(() => null);
  return { opening, close: async () => (await opened)?.close() };
}

function describeHeld({ logBytes, maxLogBytes, heldMs }: LogHeld) {
  return {
    numbers: { log_bytes: logBytes, max_log_bytes: maxLogBytes, held_ms: heldMs },
    detail:
      'another program reads an old state of the store, or holds its lock, so that its log grows and cannot be emptied; ' +
      'end the transaction or backup of that program (`fuser replay.sqlite-wal` names the programs that have it open)',
  };
}

function evictionNumbers(report: EvictionReport): Record<string, number> {
  const { generations, scores, preferences, prompts, byAge, unfinished, unscored, oldest, usedBytes, durationMs } =
    report;
  const reasons = { by_age: byAge, unfinished, unscored, oldest };
  return { generations, scores, preferences, prompts, ...reasons, used_bytes: usedBytes, duration_ms: durationMs };
}
