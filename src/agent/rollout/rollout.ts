/**
 * The way of a candidate: adopted -> judged -> by the mode live at once, on trial, or waiting for a person.
 *
 * One candidate is judged at a time, and none while a canary runs; of those that wait, the newest wins and the others are
 * rejected. Steps that change a version happen one after another; judging, which takes long, is none of them, so a person
 * can promote, reject and roll back meanwhile. What a restart finds on trial is resumed, what it finds unjudged is judged.
 *
 * A learned candidate that is rejected takes the learner back to the live weights, and what was trained on from it goes
 * the same way: otherwise the learner would offer ever more of the same.
 */

import { HoneError, inWords } from '../../errors.js';
import { describeVerdict, type SequentialDecision, type Verdict } from '../../gate/index.js';
import type { AdapterFiles, Candidate, Version, VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import type { Learner } from '../learner.js';
import { type Judge, verdictNumbers } from './judge.js';
import { JudgingLine, type LinedUp } from './judging-line.js';
import type { LiveVersion } from './live-version.js';
import type { Mode, ModeKeeper } from './modes.js';
import { type CandidateEvent, PendingOffer } from './pending-offer.js';
import { requireCandidate } from './require-candidate.js';
import { type TrialStatus, Trials, type TrialsOptions } from './trials.js';

export interface RolloutOptions extends TrialsOptions {
  readonly liveVersion: LiveVersion;
  readonly modes: ModeKeeper;
  readonly learner: Learner | null;
  readonly judge: Judge;
  /** Keeps which generations a version was learned from; on disk when it resolves. */
  readonly recordLessons: (version: number, generationIds: readonly string[]) => Promise<void>;
  /** Told after a candidate was judged. */
  readonly onVerdict?: (verdict: Verdict) => void;
}

/** Which way candidates go, and what is on it. */
export interface RolloutStatus {
  readonly mode: Mode;
  readonly trial: TrialStatus | null;
  /** Number of the candidate that is being judged. */
  readonly judging: number | null;
  /** Number of the candidate that waits for the judgement or the trial to end. */
  readonly waiting: number | null;
}

const byAPerson = 'by a person';

export class Rollout {
  readonly #options: RolloutOptions;
  readonly #versions: VersionLog;
  readonly #events: EventLog;
  readonly #liveVersion: LiveVersion;
  readonly trials: Trials;
  #closed = false;
  readonly #offer = new PendingOffer();
  /** Whether what the learner offered is becoming a version. */
  #adopting = false;
  readonly #line: JudgingLine;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: RolloutOptions) {
    this.#options = options;
    this.#versions = options.versions;
    this.#events = options.events;
    this.#liveVersion = options.liveVersion;
    this.#line = new JudgingLine({
      versions: options.versions,
      judge: options.judge,
      isFree: () => !this.trials.isCanary,
      onJudged: (version, verdict) => this.#take(version, verdict),
      onFree: () => this.#next(),
    });
    this.trials = new Trials(options, (version, decision) => this.#decided(version, decision));
    void this.#serially(() => this.#takeUp()).catch(() => undefined);
  }

  status(): RolloutStatus {
    return {
      mode: this.#options.modes.mode,
      trial: this.trials.status(),
      judging: this.#line.judging?.number ?? null,
      waiting: this.#line.waiting?.number ?? null,
    };
  }

  /**
   * Takes a trained adapter over; never rejects, for nobody waits: events tell what became of it. The learner goes on while
   * the gate or a canary is busy: what it offers meanwhile becomes no version, but for the last of it once they are free.
   */
  async consider(candidate: CandidateEvent): Promise<void> {
    if (this.#isBusy()) return this.#offer.put(candidate);
    this.#adopting = true;
    try {
      await this.adopt(candidate, candidate.lessons);
    } catch (thrown) {
      this.#events.publish({
        type: 'version_failed',
        detail: `the adapter of the learner did not become a version: ${inWords(thrown)}`,
      });
    } finally {
      this.#adopting = false;
    }
    this.#next();
  }

  /**
   * Makes a version of an adapter, in state `candidate`; events tell what becomes of it.
   * @param lessons generations that it was learned from: on disk before anything else happens to it
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `VERSION_NOT_FOUND` (parent), `STORE_FULL`, `DRAINING`
   */
  adopt(candidate: Candidate, lessons: readonly string[] = []): Promise<Version> {
    return this.#serially(async () => {
      const version = await this.#versions.adopt(candidate);
      try {
        await this.#options.recordLessons(version.number, lessons);
      } catch (thrown) {
        // What it learned from must be known before it can serve.
        await this.#reject(version, `what it was learned from could not be kept: ${inWords(thrown)}`);
        return version;
      }
      return this.#adopted(version, candidate.metrics);
    });
  }

  /**
   * The same for an adapter from elsewhere.
   * @param maxRank larger adapters are refused
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `STORE_FULL`, `DRAINING`
   */
  import(files: AdapterFiles, maxRank?: number): Promise<Version> {
    return this.#serially(async () => this.#adopted(await this.#versions.import(files, maxRank)));
  }

  /**
   * Makes a candidate, or the version on trial, live, as a person says.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, and what swapping says
   */
  promote(number: number): Promise<Version> {
    return this.#serially(async () => {
      requireCandidate(this.#versions, number, 'promoted');
      if (this.#line.holds(number)) {
        throw new HoneError(
          'VERSION_NOT_SERVABLE',
          `version ${number} has not been judged yet; WatchEvents tells when it is`,
        );
      }
      const onTrial = this.trials.version;
      if (onTrial?.number === number) return this.#promoteTrial(onTrial, byAPerson);
      const live = await this.#liveVersion.promote(number, byAPerson);
      if (onTrial !== null) await this.#rejectTrial(onTrial, `version ${number} went live instead`);
      this.#next();
      return live;
    });
  }

  /**
   * Turns a candidate, or the version on trial, down, as a person says.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  reject(number: number, reason: string): Promise<Version> {
    return this.#serially(async () => {
      const version = requireCandidate(this.#versions, number, 'rejected');
      if (number === this.trials.version?.number) await this.#rejectTrial(version, reason);
      else {
        if (number === this.#line.waiting?.number) this.#line.clear();
        await this.#reject(version, reason);
      }
      this.#next();
      return this.#versions.get(number) as Version;
    });
  }

  /** Serves the weights of an older version as a new head; what is on trial or waits goes. */
  rollback(number: number): Promise<Version> {
    return this.#serially(async () => {
      const version = await this.#liveVersion.rollback(number);
      const onTrial = this.trials.version;
      const reason = `version ${version.number} rolled back to version ${number}`;
      if (onTrial !== null) await this.#rejectTrial(onTrial, reason);
      await this.#dropWaiting(reason);
      return version;
    });
  }

  /** Sets the mode, for candidates from now on and for the version on trial; on disk when it resolves. */
  setMode(mode: Mode): Promise<void> {
    return this.#serially(async () => {
      if (mode === this.#options.modes.mode) return;
      await this.#options.modes.set(mode);
      this.#events.publish({ type: 'mode_changed', detail: mode });
      const onTrial = this.trials.version;
      if (onTrial !== null) {
        await this.trials.end(`the mode is ${mode} now`);
        await this.#admit(await this.#versions.setAside(onTrial.number));
        await this.trials.release(onTrial.number);
      }
      this.#next();
    });
  }

  /** Stops judging and counting; trials go on at the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.catch(() => undefined);
    await this.#line.close();
    await this.trials.close();
  }

  /** What an earlier run of the server left on its way. */
  async #takeUp(): Promise<void> {
    const ours = this.#versions.list().filter(({ packageDigest }) => packageDigest === this.#live().packageDigest);
    for (const version of ours.filter(({ state }) => state === 'shadow' || state === 'canary')) {
      await this.#takeUpTrial(version);
    }
    const unjudged = ours.filter(
      ({ state, verdict, origin }) => state === 'candidate' && verdict.length === 0 && origin !== 'rollback',
    );
    for (const version of unjudged) await this.#enqueue({ version, metrics: version.metrics });
    const passed = ours.findLast(({ state, verdict }) => state === 'candidate' && verdict.length > 0);
    if (passed !== undefined && passed.number > this.#live().number && this.trials.version === null) {
      // Judged, but not on its way yet when that run ended.
      await this.#admit(passed);
    }
  }

  async #takeUpTrial(version: Version): Promise<void> {
    const { mode } = this.#options.modes;
    if (this.#live().number > version.number) {
      return this.#reject(version, `version ${this.#live().number} went live while it was on trial`);
    }
    try {
      if (mode !== version.state) await this.#admit(await this.#versions.setAside(version.number));
      else await this.trials.resume(version);
    } catch (thrown) {
      await this.#reject(version, `its trial could not be resumed: ${inWords(thrown)}`);
    }
  }

  async #adopted(version: Version, metrics = version.metrics): Promise<Version> {
    const { number, adapterDigest } = version;
    this.#events.publish({ type: 'version_created', version: number, adapterDigest, numbers: version.metrics });
    await this.#enqueue({ version, metrics });
    return version;
  }

  async #enqueue(candidate: LinedUp): Promise<void> {
    const { version } = candidate;
    if (this.#isOutdated(version)) return this.#reject(version, this.#outdated(version));
    const before = this.#line.waiting;
    if (before !== null) await this.#turnDown(before, `version ${version.number} is newer`);
    this.#line.put(candidate);
    this.#next();
  }

  /** Takes what the gate says; never rejects. */
  async #take(version: Version, verdict: Verdict | HoneError): Promise<void> {
    try {
      await this.#serially(() => this.#judged(version, verdict));
    } catch (thrown) {
      // The log cannot be written: the candidate has no end, and is found unjudged at the next start.
      if (this.#closed) return;
      this.#events.publish({
        type: 'version_failed',
        version: version.number,
        detail: `what the gate found could not be recorded; the next start judges the version again: ${inWords(thrown)}`,
      });
    }
  }

  async #judged(version: Version, verdict: Verdict | HoneError): Promise<void> {
    const { number, adapterDigest } = version;
    // A person was quicker.
    if (this.#versions.get(number)?.state !== 'candidate') return;
    if (verdict instanceof HoneError) {
      return this.#reject(version, `it could not be judged: ${inWords(verdict)}`);
    }
    const judged = await this.#versions.judge(number, verdict.checks);
    const detail = describeVerdict(verdict);
    const numbers = verdictNumbers(verdict);
    this.#events.publish({ type: 'version_judged', version: number, adapterDigest, detail, numbers });
    this.#options.onVerdict?.(verdict);
    if (!verdict.passed) return this.#reject(version, detail);
    if (this.#isOutdated(version)) return this.#reject(version, this.#outdated(version));
    await this.#admit(judged);
  }

  /** A candidate that has passed goes the way of the mode. */
  async #admit(version: Version): Promise<void> {
    const { mode } = this.#options.modes;
    if (mode === 'apprentice') return;
    try {
      if (mode === 'auto') {
        await this.#liveVersion.promote(version.number);
        return;
      }
      const before = this.trials.version;
      if (before !== null) await this.#rejectTrial(before, `version ${version.number} is newer`, 'superseded');
      await this.trials.start(version, mode);
    } catch (thrown) {
      await this.#reject(version, inWords(thrown));
    }
  }

  /** The rewards of a canary decide, or its time is over. */
  #decided(number: number, decision: SequentialDecision): void {
    void this.#serially(async () => {
      const onTrial = this.trials.version;
      if (onTrial?.number !== number) return;
      if (decision === 'not_worse') await this.#promoteTrial(onTrial, 'its rewards are not worse');
      else if (decision === 'worse') await this.#rejectTrial(onTrial, "its rewards are worse than the live version's");
      else await this.#rejectTrial(onTrial, 'its rewards left it undecided for too long');
      this.#next();
    }).catch(() => undefined);
  }

  async #promoteTrial(version: Version, detail: string): Promise<Version> {
    await this.trials.end(`promoted: ${detail}`);
    try {
      return await this.#liveVersion.promote(version.number, detail);
    } catch (error) {
      await this.#reject(version, inWords(error));
      throw error;
    } finally {
      await this.trials.release(version.number);
      this.#next();
    }
  }

  async #rejectTrial(version: Version, reason: string, how: 'rejected' | 'superseded' = 'rejected'): Promise<void> {
    await this.trials.end(`rolled back: ${reason}`);
    try {
      if (how === 'rejected') await this.#reject(version, reason);
      else await this.#turnDown(version, reason);
    } finally {
      await this.trials.release(version.number);
    }
  }

  /** Rejects, and takes the learner back to the live weights where it has gone on from this version. */
  async #reject(version: Version, reason: string): Promise<void> {
    await this.#turnDown(version, reason);
    if (version.origin !== 'learned') return;
    // Those that were trained on from it and have a place of their own are not given up with it.
    const later = this.#versions.list().some((other) => other.number > version.number && this.#hasAPlace(other));
    if (later) return;
    await this.#dropWaiting(`it was trained on from version ${version.number}, which was rejected`);
    await this.#offer.drop();
    this.#options.learner?.rejected(version.adapterDigest);
  }

  #isBusy(): boolean {
    return this.#adopting || this.#line.judging !== null || this.#line.waiting !== null || this.trials.isCanary;
  }

  /** Whoever waits is next, and after them what the learner has offered meanwhile. */
  #next(): void {
    this.#line.next();
    const offer = this.#isBusy() || this.#closed ? null : this.#offer.take();
    if (offer !== null) void this.consider(offer);
  }

  #hasAPlace({ number, origin, state, verdict }: Version): boolean {
    if (origin !== 'learned') return false;
    return (
      number === this.#line.judging?.number ||
      state === 'shadow' ||
      state === 'canary' ||
      (state === 'candidate' && verdict.length > 0)
    );
  }

  async #dropWaiting(reason: string): Promise<void> {
    const version = this.#line.waiting;
    if (version?.origin !== 'learned') return;
    this.#line.clear();
    await this.#turnDown(version, reason);
  }

  async #turnDown({ number, adapterDigest }: Version, reason: string): Promise<void> {
    await this.#versions.reject(number, reason);
    this.#events.publish({ type: 'version_rejected', version: number, adapterDigest, detail: reason });
  }

  #isOutdated({ origin, parent }: Version): boolean {
    return origin === 'learned' && parent !== null && parent < this.#liveVersion.rolledBackAt;
  }

  #outdated({ parent }: Version): string {
    return `it was trained from version ${parent}, before the last rollback`;
  }

  #live(): Version {
    return this.#versions.live();
  }

  #serially<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#closed) {
      return Promise.reject(new HoneError('DRAINING', 'the server is stopping; versions stay as they are'));
    }
    const result = this.#queue.then(task, task);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
