/** FeedbackService: every item is acknowledged after its commit, in order, and a refused one disturbs no other. */

import { setTimeout as delay } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { FeedbackItem__Output } from '../../proto/generated/hone/v1/FeedbackItem.js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { FeedbackServiceHandlers } from '../../proto/generated/hone/v1/FeedbackService.js';
import type { FeedbackStatus } from '../../proto/generated/hone/v1/FeedbackStatus.js';
import type { StreamFeedbackRequest__Output } from '../../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse } from '../../proto/generated/hone/v1/StreamFeedbackResponse.js';
import type { SubmitFeedbackRequest__Output } from '../../proto/generated/hone/v1/SubmitFeedbackRequest.js';
import type { Agent, FeedbackInput, FeedbackResult } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { toRpcStatus } from '../errors.js';
import { callSignal, failure, type ReportError, unary, write } from './calls.js';
import { toProtoExplanation } from './explanation.js';

/** Messages of one stream that may wait for their commit: enough to share commits, few enough to push back. */
const maxMessagesInFlight = 8;

export function feedbackHandlers(agent: Agent, report: ReportError): FeedbackServiceHandlers {
  return {
    SubmitFeedback: unary(report, async ({ items }: SubmitFeedbackRequest__Output) => {
      const results = await agent.feedback(items.map(toInput));
      const [first] = results;
      if (first?.status === 'refused' && results.every(({ status }) => status === 'refused')) throw first.error;
      return { outcomes: results.map((result, index) => toOutcome(result, index)) };
    }),
    ExplainGeneration: unary(report, async ({ generationId }: { generationId: string }) =>
      toProtoExplanation(await agent.explainGeneration(generationId)),
    ),
    StreamFeedback: (call: ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>) => {
      const signal = callSignal(call);
      acknowledge(agent, call, signal).then(
        () => call.end(),
        (thrown: unknown) => call.emit('error', failure(report, call.getPath(), thrown)),
      );
    },
  };
}

/**
 * Takes what arrives and answers in order, until the caller has said all. What fails ends it at once, though the caller
 * may have nothing more to say. Messages are taken as events: an iterator would destroy the call when its error is sent.
 */
function acknowledge(
  agent: Agent,
  call: ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let position = 0;
    let inFlight = 0;
    let previous = Promise.resolve();
    const fail = (thrown: unknown): void => {
      call.pause();
      reject(signal.aborted ? signal.reason : thrown);
    };
    call.on('data', ({ items }: StreamFeedbackRequest__Output) => {
      const from = position;
      position += items.length;
      inFlight += 1;
      if (inFlight >= maxMessagesInFlight) call.pause();
      // Taken at once, answered in order.
      previous = Promise.all([takeWhenPossible(agent, items.map(toInput), signal), previous]).then(([taken]) =>
        write(call, { outcomes: taken.map((result, index) => toOutcome(result, from + index)) }, signal),
      );
      previous.then(() => {
        inFlight -= 1;
        call.resume();
      }, fail);
    });
    call.on('end', () => previous.then(resolve, fail));
    signal.addEventListener('abort', fail, { once: true });
    if (signal.aborted) fail(signal.reason);
  });
}

/** A full store queue is waited for here: the stream's own back-pressure tells the caller. */
async function takeWhenPossible(
  agent: Agent,
  items: readonly FeedbackInput[],
  signal: AbortSignal,
): Promise<readonly FeedbackResult[]> {
  for (;;) {
    try {
      return await agent.feedback(items);
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (error.code !== 'QUEUE_FULL') throw error;
      await delay(error.retryAfterMs ?? 100, undefined, { signal });
    }
  }
}

function toInput(item: FeedbackItem__Output): FeedbackInput {
  const { generationId, score, retraction, preference, edit, rater, metric, idempotencyKey } = item;
  return {
    generationId,
    score,
    retraction: retraction !== undefined && retraction !== null,
    preference:
      preference === undefined || preference === null
        ? undefined
        : { otherGenerationId: preference.otherGenerationId, outcome: preferenceOutcomes[preference.outcome] ?? '' },
    edit: edit === undefined || edit === null ? undefined : { text: edit.text, score: edit.score },
    rater,
    metric,
    idempotencyKey,
  };
}

const preferenceOutcomes: Readonly<Record<string, string>> = {
  PREFERENCE_OUTCOME_BETTER: 'better',
  PREFERENCE_OUTCOME_WORSE: 'worse',
  PREFERENCE_OUTCOME_TIE: 'tie',
  PREFERENCE_OUTCOME_RETRACTED: 'retracted',
};

const statuses: Readonly<Record<FeedbackResult['status'], FeedbackStatus>> = {
  stored: 'FEEDBACK_STATUS_STORED',
  replaced: 'FEEDBACK_STATUS_REPLACED',
  retracted: 'FEEDBACK_STATUS_RETRACTED',
  duplicate: 'FEEDBACK_STATUS_DUPLICATE',
  refused: 'FEEDBACK_STATUS_REFUSED',
};

function toOutcome(result: FeedbackResult, position: number): FeedbackOutcome {
  const status = statuses[result.status];
  if (result.status === 'refused') return { position, status, error: toRpcStatus(result.error) };
  const { sequence, generationId = '' } = result;
  return { position, status, sequence, generationId };
}
