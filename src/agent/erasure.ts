/**
 * Erases a person's data, and on request what was learned from it.
 *
 * The store's lessons hold which version learned from which generation. A version that descends from such a version
 * learned from the data, too. With `retrain` the newest weights that did not learn from it serve again as a new
 * version, the adapters of all versions that did are removed, and the learner learns from what is left as if for the
 * first time.
 *
 * The store's record of an erasure holds which of these steps are done, so that each is done however often the server is
 * killed. A step that fails, on a full disk for example, is tried again until it succeeds.
 */

import { HoneError } from '../errors.js';
import type { Policy } from '../policy/index.js';
import { SerialQueue } from '../process/serial-queue.js';
import type { ErasureReport, ReplayStore } from '../replay/index.js';
import { descendants, type Version, type VersionLog } from '../versions/index.js';
import type { EventLog } from './events/event-log.js';
import { publishVersionFailure } from './events/version-failure.js';
import type { Learner } from './learner.js';
import type { Rollout } from './rollout/rollout.js';

/** What was erased, and what happened to the versions. */
export interface ErasureResult
  extends Pick<ErasureReport, 'generations' | 'scores' | 'preferences' | 'prompts' | 'logCleared'> {
  /** Versions that learned from the erased data or descend from such versions, ascending. */
  readonly versions: readonly number[];
  /** With `retrain`: the version that serves now; null if the live version had not learned from erased data. */
  readonly live: Version | null;
  /** With `retrain`: versions whose adapters were removed. */
  readonly removedWeights: readonly number[];
}

type TakenBack = Pick<ErasureResult, 'live' | 'removedWeights'>;

export interface ErasureParts {
  readonly replay: ReplayStore;
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly learner: Learner | null;
  readonly events: EventLog;
  readonly rollout: Pick<Rollout, 'rollback' | 'reject'>;
}

const nothingTakenBack: TakenBack = { live: null, removedWeights: [] };
/** Time before what failed is tried again. */
const retryAfterMs = 2000;

export class SubjectErasure {
  readonly #parts: ErasureParts;
  /** Erasures are settled one after the other, because each takes the versions of all back. */
  readonly #queue = new SerialQueue('the server is stopping; the next start completes the erasure');
  /** Erasures that this run reported, and whose record may not say so yet. */
  readonly #published = new Set<number>();
  /** The command to relearn that this run gave for an erasure, while it is not known to be carried out. */
  readonly #relearning = new Map<number, number>();
  #retry: NodeJS.Timeout | undefined;
  /** Message of the failure that was reported last. */
  #failure: string | undefined;

  constructor(parts: ErasureParts) {
    this.#parts = parts;
    parts.replay.onUnsettled(() => this.#settleSoon(0));
  }

  /**
   * @throws HoneError `STORE_FULL`, `STORE_BUSY`; with `retrain` also what a rollback throws. Once the erasure is recorded,
   * what is left of it is done all the same.
   */
  async erase(subject: string, retrain: boolean): Promise<ErasureResult> {
    const { replay, versions } = this.#parts;
    const report = await replay.eraseSubject(subject, retrain);
    const affected = descendants(versions.list(), report.versions);
    const { live, removedWeights } = await this.#queue
      .run(() => this.#settle(report))
      .catch((thrown) => {
        this.#settleSoon(retryAfterMs);
        throw thrown;
      });
    const { generations, scores, preferences, prompts, logCleared } = report;
    return { generations, scores, preferences, prompts, logCleared, versions: affected, live, removedWeights };
  }

  /** Does what is left of all erasures. What fails is reported by an event and tried again. Never rejects. */
  async settle(): Promise<void> {
    try {
      await this.#queue.run(async () => {
        for (const report of await this.#parts.replay.unsettledErasures()) await this.#settle(report);
      });
      this.#failure = undefined;
    } catch (thrown) {
      if (this.#queue.isClosed) return;
      const { message } = HoneError.from(thrown);
      if (message !== this.#failure) {
        this.#failure = message;
        publishVersionFailure(this.#parts.events, 'an erasure could not be completed yet', thrown);
      }
      this.#settleSoon(retryAfterMs);
    }
  }

  /**
   * Call when the lessons of a new version are recorded. Some of its data may have been erased while it was made.
   * @returns why it must not serve, or `null`
   */
  async lessonsRecorded(version: number): Promise<string | null> {
    const { replay } = this.#parts;
    const tainted = (await replay.unsettledErasures()).filter(
      ({ retrain, versions }) => retrain !== 'none' && versions.includes(version),
    );
    for (const { id, retrain: from } of tainted) {
      // An earlier step may have been recorded just after the lessons.
      await replay.noteErasure({ id, retrain: { from, to: 'versions' } });
    }
    if (tainted.length === 0) return null;
    // Its adapter is removed, and the learner learns again, too.
    this.#settleSoon(0);
    return learnedFromErased;
  }

  /** Ends after the erasure in hand. The next start goes on with what is left. */
  async close(): Promise<void> {
    clearTimeout(this.#retry);
    await this.#queue.close();
    clearTimeout(this.#retry);
  }

  #settleSoon(ms: number): void {
    if (this.#queue.isClosed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.settle(), ms);
  }

  async #settle(report: ErasureReport): Promise<TakenBack> {
    const { replay, learner, policy } = this.#parts;
    const { id, retrain, versionsOfAll } = report;
    if (!report.reported) {
      await policy.clearPrefixes();
      learner?.erased();
      this.#publish(report);
      await replay.noteErasure({ id, reported: true });
    }
    if (retrain === 'none' || retrain === 'done') return nothingTakenBack;
    let taken = nothingTakenBack;
    if (retrain === 'versions') {
      taken = await takeBack(this.#parts, versionsOfAll);
      // Nothing was learned from the data, so there is nothing to learn again.
      const left = versionsOfAll.length === 0 ? 'done' : 'learner';
      await replay.noteErasure({ id, retrain: { from: retrain, to: left } });
      if (left === 'done') return taken;
    }
    // A learner that was told already is told again only if there was more to take back.
    if (learner === null || (retrain === 'learner' && this.#relearning.has(id))) return taken;
    this.#relearning.set(id, learner.relearn());
    return taken;
  }

  /** Call when the learner's checkpoint holds that it learns again, by all commands up to this number. */
  relearned(upTo: number): void {
    const note = async () => {
      for (const [id, command] of this.#relearning) {
        if (command > upTo) continue;
        // If the note fails, the learner is told again, which does no harm.
        this.#relearning.delete(id);
        await this.#parts.replay.noteErasure({ id, retrain: { from: 'learner', to: 'done' } });
      }
    };
    this.#queue.run(note).catch(() => this.#settleSoon(retryAfterMs));
  }

  /**
   * Publishes figures only. An event that named the subject would keep what was erased. If a run was killed after the event
   * and before its record, the event is among those that are kept.
   */
  #publish(report: ErasureReport): void {
    const { events, versions } = this.#parts;
    const { id, startedAtMs, generations, scores, preferences, prompts, logCleared } = report;
    // The time tells it from an erasure of another store that was in its place.
    const which = { erasure: id, started_at_ms: startedAtMs };
    if (this.#published.has(id) || events.has('subject_erased', which)) return;
    this.#published.add(id);
    const affected = descendants(versions.list(), report.versions).length;
    const figures = { generations, scores, preferences, prompts, versions: affected };
    events.publish({
      type: 'subject_erased',
      numbers: { ...which, ...figures, log_cleared: logCleared ? 1 : 0 },
      ...(logCleared
        ? {}
        : { detail: 'the log of the store still holds data, because another program reads an old state of the store' }),
    });
  }
}

/**
 * Takes what was learned from erased data out of service. It may be repeated: what is done already is found done.
 * @param roots versions that learned from erased data themselves
 */
async function takeBack({ versions, rollout }: ErasureParts, roots: readonly number[]): Promise<TakenBack> {
  if (roots.length === 0) return nothingTakenBack;
  let live: Version | null = null;
  // While one version is rejected another may come, or go live, so look again until none is left.
  for (;;) {
    const tainted = new Set(descendants(versions.list(), roots));
    const waiting = versions.list().filter(({ number, state }) => tainted.has(number) && undecided.has(state));
    for (const { number } of waiting) await rejectIfUndecided(rollout, number);
    if (tainted.has(versions.live().number)) live = await rollout.rollback(newestClean(versions, tainted).number);
    else if (waiting.length === 0) break;
  }
  const removedWeights = await versions.removeWeights(descendants(versions.list(), roots));
  return { live, removedWeights };
}

const learnedFromErased = 'it learned from data that was erased';

const undecided: ReadonlySet<Version['state']> = new Set(['candidate', 'shadow', 'canary']);

async function rejectIfUndecided(rollout: ErasureParts['rollout'], number: number): Promise<void> {
  try {
    await rollout.reject(number, learnedFromErased);
  } catch (thrown) {
    const error = HoneError.from(thrown);
    // It went live or was rejected meanwhile.
    if (error.code !== 'VERSION_NOT_SERVABLE') throw error;
  }
}

function newestClean(versions: VersionLog, tainted: ReadonlySet<number>): Version {
  const { packageDigest } = versions.live();
  const clean = versions
    .list()
    .findLast(
      (version) =>
        version.state === 'retired' &&
        version.weights === 'kept' &&
        version.packageDigest === packageDigest &&
        !tainted.has(version.number),
    );
  if (clean !== undefined) return clean;
  throw new HoneError('INTERNAL', 'no version is left that did not learn from erased data');
}
