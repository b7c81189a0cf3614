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
import type { Agent, ScoreInput, ScoreResult } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { toRpcStatus } from '../errors.js';
import { callSignal, failure, type ReportError, unary, write } from './calls.js';

/** Messages of one stream that may wait for their commit: enough to share commits, few enough to push back. */
const maxMessagesInFlight = 8;

export function feedbackHandlers(agent: Agent, report: ReportError): FeedbackServiceHandlers {
  return {
    SubmitFeedback: unary(report, async ({ items }: SubmitFeedbackRequest__Output) => {
      const results = await agent.score(items.map(toScore));
      const [first] = results;
      if (first?.status === 'refused' && results.every(({ status }) => status === 'refused')) throw first.error;
      return { outcomes: results.map((result, index) => toOutcome(result, index)) };
    }),
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
 * Scores what arrives and answers in order, until the caller has said all. What fails ends it at once, though the caller
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
      // Scored at once, answered in order.
      previous = Promise.all([scoreWhenPossible(agent, items.map(toScore), signal), previous]).then(([scored]) =>
        write(call, { outcomes: scored.map((result, index) => toOutcome(result, from + index)) }, signal),
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
async function scoreWhenPossible(
  agent: Agent,
  items: readonly ScoreInput[],
  signal: AbortSignal,
): Promise<readonly ScoreResult[]> {
  for (;;) {
    try {
      return await agent.score(items);
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (error.code !== 'QUEUE_FULL') throw error;
      await delay(error.retryAfterMs ?? 100, undefined, { signal });
    }
  }
}

function toScore(item: FeedbackItem__Output): ScoreInput {
  const { generationId, score, retraction, rater, metric, idempotencyKey } = item;
  return {
    generationId,
    value: score,
    retract: retraction !== undefined && retraction !== null,
    rater,
    metric,
    idempotencyKey,
  };
}

const statuses: Readonly<Record<ScoreResult['status'], FeedbackStatus>> = {
  stored: 'FEEDBACK_STATUS_STORED',
  replaced: 'FEEDBACK_STATUS_REPLACED',
  retracted: 'FEEDBACK_STATUS_RETRACTED',
  duplicate: 'FEEDBACK_STATUS_DUPLICATE',
  refused: 'FEEDBACK_STATUS_REFUSED',
};

function toOutcome(result: ScoreResult, position: number): FeedbackOutcome {
  const status = statuses[result.status];
  if (result.status === 'refused') return { position, status, error: toRpcStatus(result.error) };
  return { position, status, sequence: result.sequence };
}
