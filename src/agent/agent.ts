/** The loop: admit, generate, record, score, learn, swap. Knows no transport; builds nothing, closes only what is its own. */

import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { HoneError } from '../errors.js';
import type { LearnerEvent } from '../learner/index.js';
import { type LearnerStatus, nothingLearned } from '../learner/process/status.js';
import { checkLearnerSettings } from '../learner/settings.js';
import type { ExportFilter } from '../replay/index.js';
import { defaultRewardSettings } from '../reward/settings.js';
import type { AdapterFiles, Version } from '../versions/index.js';
import type { AgentOptions } from './agent-options.js';
import { type ErasureResult, eraseSubject } from './erasure.js';
import type { EventLog } from './events/event-log.js';
import { LearnerEventPublisher } from './events/learner-events.js';
import type { LoopEvent, WatchOptions } from './events/types.js';
import { type Explanation, explainGeneration, generationNotFound } from './explain.js';
import { BackgroundRater } from './feedback/background-rater.js';
import { FeedbackIntake } from './feedback/feedback-intake.js';
import { hasDefaults, rewardsOf } from './feedback/read-rewards.js';
import type { FeedbackInput, FeedbackResult } from './feedback/types.js';
import { checkGenerate } from './generation/check-request.js';
import { drawInBackground } from './generation/draw-in-background.js';
import { checkExploration, Exploration } from './generation/exploration.js';
import type { GenerationContext } from './generation/generation-context.js';
import { OpenRequests } from './generation/open-requests.js';
import { abortReason, runGeneration } from './generation/run-generation.js';
import type { AgentEvent, GenerateInput } from './generation/types.js';
import type { Agent, AgentStatus, StoredGeneration, VersionPage } from './interface.js';
import type { Learner } from './learner.js';
import { type Meter, RequestMeter } from './meter.js';
import { check, textUpTo } from './request-errors.js';
import { checkCanarySettings } from './rollout/canary-settings.js';
import { judgeFinite } from './rollout/judge.js';
import { LiveVersion, type ServedIdentity } from './rollout/live-version.js';
import { keepMode, type Mode } from './rollout/modes.js';
import { rollBackSetback } from './rollout/roll-back-setback.js';
import { Rollout, type RolloutStatus } from './rollout/rollout.js';
import { answerInBackground } from './rollout/shadow.js';
import { noTrialStore } from './rollout/trial-file.js';
import { StoreOutage } from './store-outage.js';
import { type ExportedLines, exportReplay, ReplayImport } from './transfer.js';
import { versionPage } from './version-page.js';

/** Puts the parts of the loop together. The caller keeps owning them and closes them after the agent. */
export function createAgent(options: AgentOptions): Agent {
  return new LoopAgent(options);
}

const erasure = z.object({ subject: textUpTo(256).min(1, { error: 'must name the subject' }) });
const rejection = z.object({ reason: textUpTo(512) });
const generationId = z.object({ generationId: z.uuid({ error: 'must be the id (UUID) of a generation' }) });

class LoopAgent implements Agent {
  readonly #options: AgentOptions;
  readonly #now: () => number;
  readonly #randomSeed: () => number;
  readonly #events: EventLog;
  readonly #meter: Meter;
  readonly #liveVersion: LiveVersion;
  readonly #rollout: Rollout;
  readonly #learnerEvents: LearnerEventPublisher;
  readonly #feedback: FeedbackIntake;
  readonly #storeOutage: StoreOutage;
  readonly #context: GenerationContext;
  readonly #exploration: Exploration;
  readonly #raters: readonly BackgroundRater[];
  readonly #startedAtMs: number;
  readonly #requests: OpenRequests;
  #closing: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    const { learner, events, versions, policy } = options;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#randomSeed = options.randomSeed ?? (() => randomInt(2 ** 32));
    this.#events = events;
    this.#meter = options.meter ?? {};
    this.#startedAtMs = this.#now();
    this.#requests = new OpenRequests(options.maxOpenRequests ?? 1024);
    this.#liveVersion = new LiveVersion({
      policy,
      versions,
      learner,
      events,
      onLive: (version) => this.#meter.live?.(version),
    });
    this.#learnerEvents = new LearnerEventPublisher(events, this.#now);
    this.#storeOutage = new StoreOutage({ replay: options.replay, events, now: this.#now });
    const { pkg, replay, reward = defaultRewardSettings } = options;
    const onChanged = (generationIds: readonly string[]) => {
      learner?.changed();
      this.#rollout.trials.scored(generationIds);
    };
    this.#feedback = new FeedbackIntake({
      pkg,
      replay,
      reward,
      meter: this.#meter,
      now: this.#now,
      onChanged,
      storeOutage: this.#storeOutage,
    });
    this.#context = {
      pkg,
      policy,
      replay,
      now: this.#now,
      storeOutage: this.#storeOutage,
      onAdmitted: (ids) => this.#feedback.admitted(ids),
      onRecorded: (ids) => {
        this.#feedback.recorded(ids);
        this.#rollout.trials.recorded(ids);
        this.#rateNew();
      },
    };
    this.#exploration = new Exploration({
      settings: options.exploration ?? checkExploration({}),
      draw: (request, signal, wanted) => drawInBackground(this.#context, request, signal, wanted),
      meter: this.#meter,
      randomSeed: this.#randomSeed,
    });
    const { version, adapterDigest } = this.#liveVersion.identity;
    events.publish({ type: 'server_started', version, adapterDigest });
    this.#rollout = new Rollout({
      policy,
      versions,
      events,
      learner,
      liveVersion: this.#liveVersion,
      modes: options.modes ?? keepMode(),
      judge: options.judge ?? judgeFinite,
      recordLessons: (version, ids) => replay.recordLessons(ids.map((generationId) => ({ generationId, version }))),
      settings: options.canary ?? checkCanarySettings(),
      store: options.trials ?? noTrialStore,
      readRewards: rewardsOf(options.replay, reward, this.#now),
      defaults: hasDefaults(reward),
      answer: answerInBackground(this.#context, this.#randomSeed),
      now: this.#now,
      draw: options.draw ?? Math.random,
      onVerdict: (verdict) => this.#meter.judged?.(verdict),
    });
    learner?.onEvent((event) => this.#onLearnerEvent(event));
    const take = (items: readonly FeedbackInput[]) => this.#feedback.take(items);
    this.#raters = (options.raters ?? []).map(
      (rater) => new BackgroundRater(rater, { replay, take, events, now: this.#now }),
    );
  }

  async *generate(input: GenerateInput, signal?: AbortSignal): AsyncGenerator<AgentEvent> {
    const meter = new RequestMeter(this.#meter);
    this.#exploration.requestStarted();
    try {
      yield* this.#generate(input, meter, signal);
      meter.ended('OK');
    } catch (thrown) {
      meter.ended(HoneError.from(thrown).code);
      throw thrown;
    } finally {
      // The caller left the loop.
      meter.ended('CANCELLED');
      this.#exploration.requestEnded();
    }
  }

  async *#generate(input: GenerateInput, meter: RequestMeter, signal?: AbortSignal): AsyncGenerator<AgentEvent> {
    this.#refuseWhenClosing();
    this.#requests.refuseWhenFull();
    const request = checkGenerate(input, this.#options.pkg, this.#randomSeed);
    if (request.version !== undefined) this.getVersion(request.version, 'version');
    if (signal?.aborted === true) throw abortReason(signal);
    using open = this.#requests.open(request.subject, signal);
    const { trials } = this.#rollout;
    const route = request.version === undefined ? trials.route(request.subject) : null;
    const context: GenerationContext = {
      ...this.#context,
      onAdmitted: (ids) => {
        this.#context.onAdmitted(ids);
        route?.admitted(ids);
      },
    };
    yield* runGeneration(context, { ...request, version: route?.version ?? request.version }, open.abort, meter);
    if (request.version === undefined && request.store) trials.answered(request);
    this.#exploration.answered(request);
  }

  async feedback(items: readonly FeedbackInput[]): Promise<FeedbackResult[]> {
    this.#refuseWhenClosing();
    return this.#feedback.take(items);
  }

  async getGeneration(id: string): Promise<StoredGeneration> {
    const { generationId: asked } = check(generationId, { generationId: id });
    const [generation] = await this.#options.replay.readGenerations([asked.toLowerCase()]);
    if (generation === undefined) throw generationNotFound(id);
    return { generation, scores: await this.#options.replay.readScores([generation.id]) };
  }

  async explainGeneration(id: string): Promise<Explanation> {
    const { generationId: asked } = check(generationId, { generationId: id });
    const { replay, versions, learner, training = checkLearnerSettings(), pkg } = this.#options;
    return explainGeneration(asked.toLowerCase(), {
      replay,
      reward: this.#options.reward ?? defaultRewardSettings,
      rules: { ...training, packageDigest: pkg.digest },
      learning: learner !== null,
      liveVersion: versions.live().number,
      nowMs: this.#now(),
      version: (number) => versions.get(number),
    });
  }

  listVersions(pageSize: number, pageToken: string): VersionPage {
    return versionPage(this.#options.versions.list(), pageSize, pageToken);
  }

  getVersion(number: number, field = 'number'): Version {
    const { versions } = this.#options;
    const version = versions.get(number);
    if (version !== undefined) return version;
    throw new HoneError(
      'VERSION_NOT_FOUND',
      `there is no version ${number}; versions go from 0 to ${versions.list().length - 1}`,
      { violations: [{ field, description: `there is no version ${number}` }] },
    );
  }

  async rollback(number: number): Promise<Version> {
    this.#refuseWhenClosing();
    this.getVersion(number);
    return this.#rollout.rollback(number);
  }

  rollout(): RolloutStatus {
    return this.#rollout.status();
  }

  async setMode(mode: Mode): Promise<RolloutStatus> {
    this.#refuseWhenClosing();
    await this.#rollout.setMode(mode);
    return this.rollout();
  }

  async promoteVersion(number: number): Promise<Version> {
    this.#refuseWhenClosing();
    this.getVersion(number);
    return this.#rollout.promote(number);
  }

  async rejectVersion(number: number, reason: string): Promise<Version> {
    this.#refuseWhenClosing();
    this.getVersion(number);
    const { reason: checked } = check(rejection, { reason });
    return this.#rollout.reject(number, checked === '' ? 'a person said so' : checked);
  }

  async exportVersion(number: number): Promise<AdapterFiles> {
    this.getVersion(number);
    return this.#options.versions.export(number, this.#options.pkg.name);
  }

  get maxImportBytes(): number {
    return this.#options.versions.maxImportBytes;
  }

  async importVersion(files: AdapterFiles): Promise<Version> {
    this.#refuseWhenClosing();
    if (this.#options.servesAdapters === false) {
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        'the server began without a learner and without an adapter, so its steps have no room for one; ' +
          'start it with --adapters on, and import again',
      );
    }
    return this.#rollout.import(files, this.#options.maxImportRank);
  }

  async eraseSubject(subject: string, retrain: boolean): Promise<ErasureResult> {
    this.#refuseWhenClosing();
    const { subject: checked } = check(erasure, { subject });
    const ended = new HoneError('CANCELLED', 'the data of the subject of this request was erased while it ran');
    this.#requests.end(ended, checked);
    this.#exploration.forget(checked);
    this.#rollout.trials.forget(checked);
    const { replay, policy, versions, learner } = this.#options;
    const rollback = (number: number) => this.#rollout.rollback(number);
    const reject = (number: number, reason: string) => this.#rollout.reject(number, reason);
    return eraseSubject(
      { replay, policy, versions, learner, events: this.#events, rollback, reject },
      checked,
      retrain,
    );
  }

  exportReplay(filter: ExportFilter): AsyncIterable<ExportedLines> {
    this.#refuseWhenClosing();
    return exportReplay(this.#options.replay, filter);
  }

  importReplay(): ReplayImport {
    this.#refuseWhenClosing();
    return new ReplayImport(this.#options.replay, () => {
      this.#options.learner?.changed();
      this.#rateNew();
    });
  }

  learnerStatus(): LearnerStatus {
    return this.#options.learner?.status() ?? learnerOff;
  }

  async pauseLearner(): Promise<LearnerStatus> {
    await this.#learner().pause();
    return this.learnerStatus();
  }

  async resumeLearner(): Promise<LearnerStatus> {
    this.#refuseWhenClosing();
    await this.#learner().resume();
    return this.learnerStatus();
  }

  watchEvents(options: WatchOptions, signal?: AbortSignal): AsyncIterable<readonly LoopEvent[]> {
    return this.#events.watch(options, signal);
  }

  identity(): ServedIdentity {
    return this.#liveVersion.identity;
  }

  async status(): Promise<AgentStatus> {
    const { policy, replay, versions, pkg } = this.#options;
    const [serving, stored] = await Promise.all([policy.status(), replay.status()]);
    return {
      packageName: pkg.name,
      startedAtMs: this.#startedAtMs,
      draining: this.#closing !== undefined,
      live: versions.live(),
      serving,
      replay: stored,
      learner: this.learnerStatus(),
      exploration: this.#exploration.status,
      reward: this.#options.reward ?? defaultRewardSettings,
      raters: this.#raters.map(({ status }) => status),
      lastSwap: this.#liveVersion.lastSwap,
      rollout: this.rollout(),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#events.publish({ type: 'server_draining' });
    await this.#exploration.close();
    await this.#requests.drain(this.#options.drainGraceMs ?? 10_000);
    for (const rater of this.#raters) await rater.close();
    await this.#rollout.close();
    await this.#liveVersion.close();
    this.#events.close();
  }

  #onLearnerEvent(event: LearnerEvent): void {
    this.#learnerEvents.publish(event);
    this.#meter.learner?.(event);
    if (event.type === 'setback' && this.#closing === undefined) {
      void rollBackSetback(event, { rollout: this.#rollout, versions: this.#options.versions, events: this.#events });
    }
    if (event.type === 'candidate' && this.#closing === undefined) void this.#rollout.consider(event);
  }

  #rateNew(): void {
    for (const rater of this.#raters) rater.changed();
  }

  #learner(): Learner {
    const { learner } = this.#options;
    if (learner === null) throw new HoneError('LEARNER_OFF', 'the server was started without a learner');
    return learner;
  }

  #refuseWhenClosing(): void {
    if (this.#closing === undefined) return;
    throw new HoneError('DRAINING', 'the server is stopping and takes no new requests', { retryAfterMs: 1000 });
  }
}

const learnerOff: LearnerStatus = { ...nothingLearned, state: 'off', restarts: 0, engine: '' };
