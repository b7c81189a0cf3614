/**
 * Takes candidates from an offer of the learner, or an import, to their end: adopt -> judge -> by the mode go live, go
 * on trial, or wait for a person.
 *
 * `on-the-way.ts` holds which candidate is where. Of those that wait for the gate the newest stays, and the others are
 * rejected. Steps that change a version run one after another, and after each of them the next candidate moves up.
 * Judging takes long and is not such a step, so a person can promote, reject and roll back meanwhile.
 */

import { HoneError, inWords } from '../../errors.js';
import {
  describeVerdict,
  type GatePace,
  type PaceChange,
  type PaceStatus,
  type SequentialDecision,
  type Verdict,
} from '../../gate/index.js';
import { SerialQueue } from '../../process/serial-queue.js';
import type { AdapterFiles, Version, VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import { publishVersionFailure } from '../events/version-failure.js';
import type { Learner } from '../learner.js';
import { type Judge, verdictNumbers } from './judge.js';
import type { LiveVersion } from './live-version.js';
import type { Mode, ModeKeeper } from './modes.js';
import { OnTheWay, type UnjudgedCandidate } from './on-the-way.js';
import type { PendingOffer } from './pending-offer.js';
import { Rejections } from './rejections.js';
import { requireCandidate } from './require-candidate.js';
import { takeUp } from './take-up.js';
import { type TrialStatus, Trials, type TrialsOptions } from './trials.js';

export interface RolloutOptions extends TrialsOptions {
  readonly liveVersion: LiveVersion;
  readonly modes: ModeKeeper;
  readonly learner: Learner | null;
  readonly judge: Judge;
  /** Follows how much of the policy a judgement gets. Default: nobody does. */
  readonly gatePace?: GatePace | undefined;
  /**
   * Stores which generations a version was learned from; on disk when it resolves.
   * @returns why the version must not serve, or `null`
   */
  readonly recordLessons: (version: number, generationIds: readonly string[]) => Promise<string | null>;
  /** Whether it is stored which generations a version was learned from. */
  readonly hasLessons: (version: number) => Promise<boolean>;
  /** Called after a candidate was judged. */
  readonly onVerdict?: (verdict: Verdict) => void;
}

/** The mode, and the candidates on their way. */
export interface RolloutStatus {
  readonly mode: Mode;
  readonly trial: TrialStatus | null;
  /** Number of the candidate that is being judged. */
  readonly judging: number | null;
  /** How much of the policy the judgement gets. */
  readonly pace: PaceStatus;
  /** Number of the candidate that waits until the judgement or the trial ends. */
  readonly waiting: number | null;
}

const unfollowed: PaceStatus = { share: null, starvedBecause: null };

const byAPerson = 'by a person';

export class Rollout {
  readonly #options: RolloutOptions;
  readonly #versions: VersionLog;
  readonly #events: EventLog;
  readonly #liveVersion: LiveVersion;
  readonly #way = new OnTheWay();
  readonly #rejections: Rejections;
  readonly #queue = new SerialQueue('the server is stopping; versions stay as they are');
  readonly #closing = new AbortController();
  /** The judgement in progress, or the last one. */
  #judgement: Promise<void> = Promise.resolve();
  readonly trials: Trials;

  constructor(options: RolloutOptions) {
    this.#options = options;
    this.#versions = options.versions;
    this.#events = options.events;
    this.#liveVersion = options.liveVersion;
    this.#rejections = new Rejections({ ...options, way: this.#way });
    this.trials = new Trials(options, this.#way, (version, decision) => void this.#canaryDecided(version, decision));
    options.gatePace?.onChange((change) => this.#publishPace(change));
    void this.#inTurn(() => this.#takeUp()).catch((thrown) =>
      this.#publishFailure('the candidates of an earlier run could not be taken up', thrown),
    );
  }

  status(): RolloutStatus {
    return {
      mode: this.#options.modes.mode,
      trial: this.trials.status(),
      judging: this.#way.judging?.number ?? null,
      pace: this.#options.gatePace?.status ?? unfollowed,
      waiting: this.#way.waiting?.number ?? null,
    };
  }

  /**
   * Takes an offer of the learner. The learner goes on while the gate or a canary is busy: of what it offers meanwhile,
   * the last becomes a version once they are free. Never rejects: events report what happens to the offer.
   */
  async consider(offer: PendingOffer): Promise<void> {
    const replaced = this.#way.offer(offer);
    this.#settle();
    await this.#rejections.removeOffer(replaced, offer.directory);
  }

  /**
   * Makes an adapter from elsewhere a version, in state `candidate`; events report what becomes of it.
   * @param maxRank larger adapters are refused
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `STORE_FULL`, `DRAINING`
   */
  import(files: AdapterFiles, maxRank?: number): Promise<Version> {
    return this.#inTurn(async () => {
      const version = await this.#versions.import(files, maxRank);
      await this.#created(version);
      return version;
    });
  }

  /**
   * Makes a candidate, or the version on trial, live on a person's decision.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, and what the swap throws
   */
  promote(number: number): Promise<Version> {
    return this.#inTurn(async () => {
      requireCandidate(this.#versions, number, 'promoted');
      if (this.#way.isUnjudged(number)) {
        throw new HoneError(
          'VERSION_NOT_SERVABLE',
          `version ${number} has not been judged yet; WatchEvents reports when it is`,
        );
      }
      const { onTrial } = this.#way;
      if (onTrial?.number === number) {
        const promoted = await this.#promoteTrial(onTrial, byAPerson);
        if (promoted instanceof HoneError) throw promoted;
        return promoted;
      }
      const live = await this.#liveVersion.promote(number, byAPerson);
      if (onTrial !== null) await this.#rejectTrial(onTrial, `version ${number} went live instead`);
      return live;
    });
  }

  /**
   * Rejects a candidate, or the version on trial, on a person's decision.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  reject(number: number, reason: string): Promise<Version> {
    return this.#inTurn(async () => {
      const version = requireCandidate(this.#versions, number, 'rejected');
      if (number === this.#way.onTrial?.number) await this.#rejectTrial(version, reason);
      else await this.#reject(version, reason);
      return this.#versions.get(number) as Version;
    });
  }

  /**
   * Serves the weights of an older version as a new version. The version on trial, and a learned one that waits, are
   * rejected.
   */
  rollback(number: number): Promise<Version> {
    return this.#inTurn(async () => {
      const version = await this.#liveVersion.rollback(number);
      const reason = `version ${version.number} rolled back to version ${number}`;
      const { onTrial } = this.#way;
      if (onTrial !== null) await this.#rejectTrial(onTrial, reason);
      await this.#rejections.rejectWaiting(reason);
      return version;
    });
  }

  /** Sets the mode for later candidates and for the version on trial; on disk when it resolves. */
  setMode(mode: Mode): Promise<void> {
    return this.#inTurn(async () => {
      if (mode === this.#options.modes.mode) return;
      await this.#options.modes.set(mode);
      this.#events.publish({ type: 'mode_changed', detail: mode });
      const { onTrial } = this.#way;
      if (onTrial === null) return;
      await this.trials.end(`the mode is ${mode} now`);
      try {
        await this.#changeTrial(onTrial);
      } finally {
        await this.trials.release(onTrial.number);
      }
    });
  }

  /** Stops judging and counting. The next start judges again what was being judged, and goes on with the trial. */
  async close(): Promise<void> {
    await this.#queue.close();
    this.#closing.abort(new HoneError('DRAINING', 'the server is stopping'));
    await this.#judgement;
    await this.trials.close();
  }

  /** Runs a task after all earlier ones; then the next candidate moves up. */
  #inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    return this.#queue.run(async () => {
      try {
        return await task();
      } finally {
        this.#settle();
      }
    });
  }

  /** Begins what nothing is before any more: to judge the waiting candidate, or else to adopt the offer. */
  #settle(): void {
    if (this.#queue.isClosed) return;
    const candidate = this.#way.beginJudging();
    if (candidate !== null) this.#judgement = this.#judge(candidate);
    const offer = this.#way.beginAdopting();
    if (offer !== null) void this.#adopt(offer);
  }

  /** Makes the learner's offer a version. Never rejects. */
  async #adopt(offer: PendingOffer): Promise<void> {
    try {
      await this.#inTurn(async () => {
        try {
          await this.#adoptNow(offer);
        } finally {
          this.#way.endAdopting();
        }
      });
    } catch (thrown) {
      this.#publishFailure('the adapter of the learner did not become a version', thrown);
    }
  }

  async #adoptNow(offer: PendingOffer): Promise<void> {
    const version = await this.#versions.adopt(offer);
    try {
      const objection = await this.#options.recordLessons(version.number, offer.lessons);
      if (objection !== null) return this.#reject(version, objection);
    } catch (thrown) {
      // A version may serve only if an erasure can find out what the version was learned from.
      return this.#reject(version, `what it was learned from could not be stored: ${inWords(thrown)}`);
    }
    await this.#created(version, offer.metrics);
  }

  async #created(version: Version, metrics = version.metrics): Promise<void> {
    const { number, adapterDigest } = version;
    this.#events.publish({ type: 'version_created', version: number, adapterDigest, numbers: version.metrics });
    await this.#wait({ version, metrics });
  }

  /** Lets a candidate wait for the gate in place of an older one. */
  async #wait(candidate: UnjudgedCandidate): Promise<void> {
    const { version } = candidate;
    if (this.#isOutdated(version)) return this.#reject(version, this.#whyOutdated(version));
    const { waiting } = this.#way;
    if (waiting !== null) await this.#rejections.supersede(waiting, `version ${version.number} is newer`);
    this.#way.wait(candidate);
  }

  /** Asks the gate about a candidate and acts on the verdict. Never rejects. */
  async #judge(candidate: UnjudgedCandidate): Promise<void> {
    const verdict = await this.#askGate(candidate);
    // The next start finds the candidate unjudged.
    if (this.#queue.isClosed) return;
    const { version } = candidate;
    try {
      await this.#inTurn(async () => {
        try {
          await this.#judged(version, verdict);
        } finally {
          this.#way.endJudging();
        }
      });
    } catch (thrown) {
      const what = 'what the gate found, or what follows from it, could not be recorded; the next start takes it up';
      this.#publishFailure(what, thrown, version);
    }
  }

  /** The verdict, or the error that kept the gate from judging. */
  async #askGate({ version, metrics }: UnjudgedCandidate): Promise<Verdict | HoneError> {
    try {
      const adapter = await this.#versions.readAdapter(version.number);
      const live = this.#versions.live().number;
      return await this.#options.judge({ version, adapter, metrics, live }, this.#closing.signal);
    } catch (thrown) {
      return HoneError.from(thrown);
    }
  }

  async #judged(version: Version, verdict: Verdict | HoneError): Promise<void> {
    const { number, adapterDigest } = version;
    // A person has rejected the candidate meanwhile.
    if (this.#versions.get(number)?.state !== 'candidate') return;
    if (verdict instanceof HoneError) return this.#reject(version, `it could not be judged: ${inWords(verdict)}`);
    const judged = await this.#versions.judge(number, verdict.checks);
    const detail = describeVerdict(verdict);
    const numbers = verdictNumbers(verdict);
    this.#events.publish({ type: 'version_judged', version: number, adapterDigest, detail, numbers });
    this.#options.onVerdict?.(verdict);
    if (!verdict.passed) return this.#reject(version, detail);
    if (this.#isOutdated(version)) return this.#reject(version, this.#whyOutdated(version));
    await this.#admit(judged);
  }

  /** Lets a candidate that has passed go the way of the mode. */
  async #admit(version: Version): Promise<void> {
    const { mode } = this.#options.modes;
    if (mode === 'apprentice') return;
    if (mode === 'auto') {
      await this.#promoteOrReject(version);
      return;
    }
    try {
      const { onTrial } = this.#way;
      if (onTrial !== null) await this.#supersedeTrial(onTrial, `version ${version.number} is newer`);
      await this.trials.start(version, mode);
    } catch (thrown) {
      await this.#reject(version, inWords(thrown));
    }
  }

  /** Takes a version off its trial, undecided, and lets it go the way of the present mode. */
  async #changeTrial({ number }: Version): Promise<void> {
    await this.#admit(await this.#versions.setAside(number));
  }

  /** Ends the trial of an earlier run that does not fit the mode of this one. An event reports it as any other end. */
  async #endTrialOfEarlierRun({ number, adapterDigest, state }: Version): Promise<void> {
    const candidate = await this.#versions.setAside(number);
    const type = state === 'canary' ? 'canary_ended' : 'shadow_ended';
    const detail = `the mode is ${this.#options.modes.mode} now`;
    this.#events.publish({ type, version: number, adapterDigest, detail });
    await this.#admit(candidate);
  }

  /** Carries out what the rewards of a canary decide, or its end without a decision. Never rejects. */
  async #canaryDecided(number: number, decision: SequentialDecision): Promise<void> {
    // The next start goes on with the canary.
    if (this.#queue.isClosed) return;
    try {
      await this.#inTurn(async () => {
        const { onTrial } = this.#way;
        if (onTrial?.number !== number) return;
        if (decision === 'not_worse') await this.#promoteTrial(onTrial, 'its rewards are not worse');
        else if (decision === 'worse') {
          await this.#rejectTrial(onTrial, "its rewards are worse than the live version's");
        } else await this.#rejectTrial(onTrial, 'its rewards left it undecided for too long');
      });
    } catch (thrown) {
      const what = 'its canary has ended, and what follows could not be carried out; the next start resumes the canary';
      this.#publishFailure(what, thrown, this.#versions.get(number));
    }
  }

  /** Ends a trial and makes its version live. Returns the error if the version was rejected instead. */
  #promoteTrial(version: Version, detail: string): Promise<Version | HoneError> {
    return this.#endTrial(version, `promoted: ${detail}`, () => this.#promoteOrReject(version, detail));
  }

  #rejectTrial(version: Version, reason: string): Promise<void> {
    return this.#endTrial(version, `rolled back: ${reason}`, () => this.#reject(version, reason));
  }

  /** Ends a trial for a newer version, which the learner goes on from. */
  #supersedeTrial(version: Version, reason: string): Promise<void> {
    return this.#endTrial(version, `rolled back: ${reason}`, () => this.#rejections.supersede(version, reason));
  }

  async #endTrial<Result>({ number }: Version, detail: string, then: () => Promise<Result>): Promise<Result> {
    await this.trials.end(detail);
    try {
      return await then();
    } finally {
      await this.trials.release(number);
    }
  }

  /** Makes a version live. If that fails, rejects the version because of it and returns the error. */
  async #promoteOrReject(version: Version, detail?: string): Promise<Version | HoneError> {
    try {
      return await this.#liveVersion.promote(version.number, detail);
    } catch (thrown) {
      const error = HoneError.from(thrown);
      await this.#reject(version, inWords(error));
      return error;
    }
  }

  #reject(version: Version, reason: string): Promise<void> {
    return this.#rejections.reject(version, reason);
  }

  #publishPace({ to, version, message, numbers }: PaceChange): void {
    if (to === 'starved') this.#events.publish({ type: 'gate_starved', version, detail: message, numbers });
    else this.#events.publish({ type: 'starvation_ended', version, detail: `gate: ${message}`, numbers });
  }

  #publishFailure(what: string, thrown: unknown, version?: Version): void {
    publishVersionFailure(this.#events, what, thrown, version);
  }

  /** Whether a learned version was trained from weights that were rolled back since. */
  #isOutdated({ origin, parent }: Version): boolean {
    return origin === 'learned' && parent !== null && parent < this.#liveVersion.rolledBackAt;
  }

  #whyOutdated({ parent }: Version): string {
    return `it was trained from version ${parent}, before the last rollback`;
  }

  #takeUp(): Promise<void> {
    const orReject = async (version: Version, goOn: () => Promise<void>) => {
      try {
        await goOn();
      } catch (thrown) {
        await this.#reject(version, `its trial could not be resumed: ${inWords(thrown)}`);
      }
    };
    return takeUp(this.#versions, this.#options.modes.mode, {
      resume: (version) => orReject(version, () => this.trials.resume(version)),
      changeTrial: (version) => orReject(version, () => this.#endTrialOfEarlierRun(version)),
      wait: async (version) => {
        await this.#wait({ version, metrics: version.metrics });
        // The oldest is judged, as it was before the restart; of those after it the newest stays.
        this.#settle();
      },
      admit: async (version) => {
        if (this.#way.onTrial === null) await this.#admit(version);
      },
      reject: (version, reason) => this.#reject(version, reason),
      isTraced: async ({ origin, number, lessons }) =>
        origin !== 'learned' || lessons === 0 || (await this.#options.hasLessons(number)),
      onFailed: (version, thrown) =>
        this.#publishFailure('it could not be taken up after the restart; the next start tries again', thrown, version),
    });
  }
}
