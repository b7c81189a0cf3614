/**
 * Creates the parts of the loop and connects them: which part hears of what another one does.
 *
 *   request -> generation -> feedback -> reward -> learner -> candidate -> rollout -> live version
 */

import { randomInt } from 'node:crypto';
import type { LearnerEvent } from '../learner/index.js';
import { encodeAtOnce } from '../package/encoding/text-encoding.js';
import { defaultRewardSettings } from '../reward/settings.js';
import type { AgentOptions } from './agent-options.js';
import { Closing } from './closing.js';
import { SubjectErasure } from './erasure.js';
import { LearnerEventPublisher } from './events/learner-events.js';
import { BackgroundRater } from './feedback/background-rater.js';
import { FeedbackIntake } from './feedback/feedback-intake.js';
import { hasDefaults, rewardsOf } from './feedback/read-rewards.js';
import type { FeedbackInput } from './feedback/types.js';
import { drawInBackground } from './generation/draw-in-background.js';
import { checkExploration, Exploration } from './generation/exploration.js';
import type { GenerationContext } from './generation/generation-context.js';
import { OpenRequests } from './generation/open-requests.js';
import { checkCanarySettings } from './rollout/canary-settings.js';
import { judgeFinite } from './rollout/judge.js';
import { LiveVersion } from './rollout/live-version.js';
import { keepMode } from './rollout/modes.js';
import { rollBackSetback } from './rollout/roll-back-setback.js';
import { Rollout } from './rollout/rollout.js';
import { answerInBackground } from './rollout/shadow.js';
import { noTrialStore } from './rollout/trial-file.js';
import { StoreOutage } from './store-outage.js';

/** The options with their defaults, and the connected parts. */
export type Loop = ReturnType<typeof connectLoop>;

/** Publishes `server_started` before any other event. */
export function connectLoop(options: AgentOptions) {
  const { pkg, policy, replay, versions, learner, events } = options;
  const {
    reward = defaultRewardSettings,
    meter = {},
    now = Date.now,
    encoding = encodeAtOnce(pkg.tokenizer),
  } = options;
  const randomSeed = options.randomSeed ?? (() => randomInt(2 ** 32));
  const closing = new Closing();
  const storeOutage = new StoreOutage({ replay, events, now });
  const liveVersion = new LiveVersion({
    policy,
    versions,
    learner,
    events,
    onLive: (version) => meter.live?.(version),
  });
  const feedback = new FeedbackIntake({
    pkg,
    encoding,
    replay,
    reward,
    meter,
    now,
    storeOutage,
    onChanged: (generationIds) => {
      learner?.changed();
      rollout.trials.scored(generationIds);
    },
  });
  const context: GenerationContext = {
    pkg,
    policy,
    replay,
    now,
    storeOutage,
    onAdmitted: (ids) => feedback.admitted(ids),
    onRecorded: (ids) => {
      feedback.recorded(ids);
      rollout.trials.recorded(ids);
      rateNew();
    },
  };
  const exploration = new Exploration({
    settings: options.exploration ?? checkExploration({}),
    draw: (request, signal, wanted) => drawInBackground(context, request, signal, wanted),
    meter,
    randomSeed,
  });
  const { version, adapterDigest } = liveVersion.identity;
  events.publish({ type: 'server_started', version, adapterDigest });
  const rollout = new Rollout({
    policy,
    versions,
    events,
    learner,
    liveVersion,
    modes: options.modes ?? keepMode(),
    judge: options.judge ?? judgeFinite,
    gatePace: options.gatePace,
    recordLessons: (number, ids) => recordLessons(number, ids),
    hasLessons: async (number) => (await replay.versionsWithLessons()).includes(number),
    settings: options.canary ?? checkCanarySettings(),
    store: options.trials ?? noTrialStore,
    readRewards: rewardsOf(replay, reward, now),
    defaults: hasDefaults(reward),
    answer: answerInBackground(context, randomSeed),
    now,
    draw: options.draw ?? Math.random,
    onVerdict: (verdict) => meter.judged?.(verdict),
  });
  const erasure = new SubjectErasure({ replay, policy, versions, learner, events, rollout });
  const recordLessons = async (version: number, ids: readonly string[]) => {
    const lessons = ids.map((generationId) => ({ generationId, version }));
    await storeOutage.whenFree(() => replay.recordLessons(lessons));
    return erasure.lessonsRecorded(version);
  };
  const learnerEvents = new LearnerEventPublisher(events, now);
  learner?.onEvent((event: LearnerEvent) => {
    learnerEvents.publish(event);
    meter.learner?.(event);
    if (event.type === 'relearned') erasure.relearned(event.upTo);
    if (closing.hasBegun) return;
    if (event.type === 'setback') void rollBackSetback(event, { rollout, versions, events });
    if (event.type === 'candidate') void rollout.consider(event);
  });
  const take = (items: readonly FeedbackInput[]) => feedback.take(items);
  const raters = (options.raters ?? []).map((rater) => new BackgroundRater(rater, { replay, take, events, now }));
  const rateNew = () => {
    for (const rater of raters) rater.changed();
  };
  const requests = new OpenRequests(options.maxOpenRequests ?? 1024);
  const parts = {
    closing,
    liveVersion,
    feedback,
    context,
    exploration,
    rollout,
    erasure,
    raters,
    requests,
    storeOutage,
  };
  return { ...options, ...parts, encoding, reward, meter, now, randomSeed, rateNew };
}
