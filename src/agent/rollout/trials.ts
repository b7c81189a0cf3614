/**
 * Runs the trial of a version, one at a time: the policy holds it beside the live version, and it works as a canary
 * that counts rewards, or as a shadow that answers in the background. The log records the trial, and a restart resumes
 * it.
 *
 * The rollout decides when a trial starts and what follows from its end.
 */

import { HoneError } from '../../errors.js';
import { type Arm, nothingObserved, type SequentialDecision } from '../../gate/index.js';
import type { Policy, PolicyVersion } from '../../policy/index.js';
import type { TrialState, Version, VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import type { ReadRewards } from '../feedback/read-rewards.js';
import type { CheckedRequest } from '../generation/check-request.js';
import { Canary, type CanaryStatus } from './canary.js';
import type { CanarySettings } from './canary-settings.js';
import type { OnTheWay } from './on-the-way.js';
import { Shadow, type ShadowAnswer } from './shadow.js';
import type { SavedTrial, TrialStore } from './trial-file.js';

export interface TrialsOptions {
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly events: EventLog;
  readonly settings: CanarySettings;
  readonly store: TrialStore;
  readonly readRewards: ReadRewards;
  /** Whether a generation may have a reward without a score. */
  readonly defaults: boolean;
  /** Answers a request in the background on the version on trial. */
  readonly answer: ShadowAnswer;
  readonly now: () => number;
  /** From [0, 1). */
  readonly draw: () => number;
}

/** Which side answers a request while a canary runs. */
export interface Route {
  readonly arm: Arm;
  /** Number of the version that answers; `undefined` for the live one. */
  readonly version: number | undefined;
  /** Call with the ids of its generations when they are on disk. */
  readonly admitted: (ids: readonly string[]) => void;
}

export interface TrialStatus {
  readonly version: number;
  readonly state: TrialState;
  readonly startedAtMs: number;
  readonly share: number;
  /** Number of answers that were begun since the trial, or the server, started. */
  readonly answers: number;
  /** `null` for a shadow. */
  readonly canary: CanaryStatus | null;
}

interface Running {
  readonly version: Version;
  readonly startedAtMs: number;
  readonly work: Canary | Shadow;
}

export class Trials {
  readonly #options: TrialsOptions;
  readonly #onDecision: (version: number, decision: SequentialDecision) => void;
  readonly #way: OnTheWay;
  #running: Running | null = null;

  /**
   * @param way where the version on trial has its place
   * @param onDecision called once per canary; the trial goes on until it is ended
   */
  constructor(
    options: TrialsOptions,
    way: OnTheWay,
    onDecision: (version: number, decision: SequentialDecision) => void,
  ) {
    this.#options = options;
    this.#way = way;
    this.#onDecision = onDecision;
  }

  /**
   * Puts a candidate on trial: held and recorded when it resolves.
   * @throws HoneError what the policy and the log throw; nothing is held then
   */
  async start(candidate: Version, state: TrialState): Promise<void> {
    await this.#hold(candidate);
    try {
      const { versions, store, settings, now } = this.#options;
      const { number } = candidate;
      const begun: SavedTrial = {
        version: number,
        live: versions.live().number,
        startedAtMs: now(),
        state: null,
        margin: settings.margin,
      };
      // This is written before the log, so that a restart never finds the figures of an earlier trial of this version.
      await store.write(begun);
      this.#run(await versions.startTrial(number, state), begun);
    } catch (error) {
      await this.release(candidate.number);
      throw error;
    }
    this.#publishStart(candidate, state, '');
  }

  /**
   * Goes on with a trial that a restart found in the log.
   * @throws HoneError what the policy throws
   */
  async resume(version: Version): Promise<void> {
    const saved = await this.#options.store.read();
    await this.#hold(version);
    const live = this.#options.versions.live().number;
    const fits = saved !== null && saved.version === version.number && saved.live === live;
    if (!fits) this.#publishForgotten(version);
    const { startedAtMs, state } = fits ? saved : { startedAtMs: this.#options.now(), state: null };
    // Evidence that was gathered with another margin does not count.
    const usable = fits && saved.margin === this.#options.settings.margin ? state : null;
    this.#run(version, { startedAtMs, state: usable });
    const counted = usable === null ? 0 : usable.live.count + usable.candidate.count;
    const kind = version.state as TrialState;
    this.#publishStart(version, kind, kind === 'canary' ? `resumed with ${counted} rewards` : 'resumed');
  }

  /** Ends the trial; the policy holds the version until {@link Trials.release}. Does nothing without a trial. */
  async end(detail: string): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    this.#way.endTrial();
    const { version, work } = running;
    await work.close();
    const numbers = work instanceof Canary ? statusNumbers(work.status()) : {};
    const { number, adapterDigest } = version;
    const type = work instanceof Canary ? 'canary_ended' : 'shadow_ended';
    this.#options.events.publish({ type, version: number, adapterDigest, detail, numbers });
  }

  /** Lets the policy drop the version of a trial. */
  async release(number: number): Promise<void> {
    // A worker that has just died holds no version.
    await this.#options.policy.release(number).catch(() => undefined);
  }

  /** The side that answers a request of this subject; `null` if no canary runs. */
  route(subject: string): Route | null {
    const work = this.#running?.work;
    if (!(work instanceof Canary)) return null;
    const arm = work.route(subject);
    const version = arm === 'candidate' ? work.version : undefined;
    return { arm, version, admitted: (ids) => work.admitted(ids, arm) };
  }

  /** Call when the live version has answered a request that is stored. A shadow may answer it, too. */
  answered(request: CheckedRequest): void {
    const work = this.#running?.work;
    if (work instanceof Shadow) work.offer(request);
  }

  /** Forgets a subject: what a shadow is drawing for it is not stored. Call before the store erases. */
  forget(subject: string): void {
    const work = this.#running?.work;
    if (work instanceof Shadow) work.forget(subject);
  }

  /** Call when generations have a new score. */
  scored(ids: readonly string[]): void {
    const work = this.#running?.work;
    if (work instanceof Canary) work.scored(ids);
  }

  /** Call when generations have ended and are on disk. */
  recorded(ids: readonly string[]): void {
    const work = this.#running?.work;
    if (work instanceof Canary) work.recorded(ids);
  }

  status(): TrialStatus | null {
    if (this.#running === null) return null;
    const { version, startedAtMs, work } = this.#running;
    const canary = work instanceof Canary ? work.status() : null;
    const state = canary === null ? 'shadow' : 'canary';
    const { share } = this.#options.settings;
    return { version: version.number, state, startedAtMs, share, answers: work.answers, canary };
  }

  /** Stops without ending the trial: the next start resumes it. */
  async close(): Promise<void> {
    const running = this.#running;
    this.#running = null;
    await running?.work.close();
  }

  #run(version: Version, { startedAtMs, state }: Pick<SavedTrial, 'startedAtMs' | 'state'>): void {
    const { settings, readRewards, defaults, answer, store, now, draw, versions } = this.#options;
    const { number } = version;
    this.#way.beginTrial(version, version.state as TrialState);
    const live = versions.live().number;
    const { margin } = settings;
    const work =
      version.state === 'shadow'
        ? new Shadow({ version: number, share: settings.share, answer, draw })
        : new Canary({
            version: number,
            settings,
            startedAtMs,
            state: state ?? nothingObserved,
            readRewards,
            defaults,
            save: (reached) => store.write({ version: number, live, startedAtMs, state: reached, margin }),
            onEnd: (decision) => this.#onDecision(number, decision),
            now,
            draw,
          });
    this.#running = { version, startedAtMs, work };
  }

  async #hold({ number, adapterDigest }: Version): Promise<void> {
    const { policy, versions } = this.#options;
    const version: PolicyVersion = { number, adapterDigest, adapter: await versions.readAdapter(number) };
    const report = await policy.hold(version);
    if (report.probe.verdict !== 'failed' && report.adapterDigest === adapterDigest) return;
    if (report.probe.verdict !== 'failed') await this.release(number);
    throw new HoneError(
      'ADAPTER_INVALID',
      `the worker does not hold version ${number}: its digest is ${report.adapterDigest}, recorded is ${adapterDigest}; probe ${report.probe.verdict}`,
    );
  }

  /** The file is written before the log names the trial, so one that does not fit was lost or replaced. */
  #publishForgotten({ number, adapterDigest, state }: Version): void {
    const detail = `trial.json, which keeps how far the ${state} of version ${number} is, was missing, damaged or older; the ${state} begins again, and what it counted before does not count`;
    this.#options.events.publish({ type: 'state_rebuilt', version: number, adapterDigest, detail });
  }

  #publishStart({ number, adapterDigest }: Version, state: TrialState, detail: string): void {
    const { share, alpha, margin, minimum, maxDurationMs } = this.#options.settings;
    const test = { alpha, margin, minimum, max_duration_ms: maxDurationMs };
    this.#options.events.publish({
      type: state === 'canary' ? 'canary_started' : 'shadow_started',
      version: number,
      adapterDigest,
      ...(detail === '' ? {} : { detail }),
      numbers: { share, ...(state === 'canary' ? test : {}) },
    });
  }
}

/** The figures of a canary by name. */
function statusNumbers({ live, candidate, worse, notWorse }: CanaryStatus): Record<string, number> {
  return {
    live_rewards: live.rewards,
    candidate_rewards: candidate.rewards,
    ...(live.meanReward === null ? {} : { live_mean_reward: live.meanReward }),
    ...(candidate.meanReward === null ? {} : { candidate_mean_reward: candidate.meanReward }),
    log_evidence_worse: worse,
    log_evidence_not_worse: notWorse,
  };
}
