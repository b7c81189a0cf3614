/** Opens the replay store while the server opens other parts. */

import type { EventLog } from '../../src/agent/index.js';
import { inWords } from '../../src/errors.js';
import { isNoRoom } from '../../src/file-system-errors.js';
import type { ErasureReport, EvictionReport, ReplayStore } from '../../src/replay/index.js';
import { openReplayStore, type ReplayStoreOptions } from '../../src/replay/store.js';
import type { ServerOptions } from '../options.js';
import type { DataDirectory } from './data-directory.js';
import type { OnFatal } from './policy.js';
import type { SpareRoom } from './spare-room.js';

/** The store while its worker opens it. */
interface OpeningStore {
  readonly opening: Promise<ReplayStore>;
  /** Erasures that a crash had interrupted and that the opening completed; complete when the store is open. */
  readonly erasures: readonly ErasureReport[];
  close(): Promise<void>;
}

export function openStoreInBackground(
  { retention }: ServerOptions,
  { replayPath }: DataDirectory,
  events: EventLog,
  onCrash: OnFatal,
  spare: SpareRoom,
): OpeningStore {
  const erasures: ErasureReport[] = [];
  const options: ReplayStoreOptions = {
    path: replayPath,
    ...retention,
    onCrash,
    onEvicted: (report) => events.publish({ type: 'replay_evicted', numbers: evictionNumbers(report) }),
    onSweepFailed: (error) => events.publish({ type: 'eviction_failed', detail: inWords(error) }),
    onErased: (report) => erasures.push(report),
  };
  const opening = openReplayStore(options).catch((thrown) => {
    // On a full disk, the store opens in the room that was kept for this, and then refuses writes as it does while it runs.
    if (!isNoRoom(thrown) || !spare.giveBack()) throw thrown;
    return openReplayStore(options);
  });
  const opened = opening.catch(() => null);
  return { opening, erasures, close: async () => (await opened)?.close() };
}

function evictionNumbers(report: EvictionReport): Record<string, number> {
  const { generations, scores, preferences, prompts, byAge, unfinished, unscored, oldest, usedBytes, durationMs } =
    report;
  const reasons = { by_age: byAge, unfinished, unscored, oldest };
  return { generations, scores, preferences, prompts, ...reasons, used_bytes: usedBytes, duration_ms: durationMs };
}
