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
      // What fails ends the call at once, though the caller may have nothing more to say.
      const done = new Promise<void>((resolve, reject) => {
        acknowledge(agent, call, signal, reject).then(resolve, reject);
      });
      done.then(
        () => call.end(),
        // A caller that goes away breaks reading, writing or waiting, each with an error of its own.
        (thrown: unknown) =>
          call.emit('error', failure(report, call.getPath(), signal.aborted ? signal.reason : thrown)),
      );
    },
  };
}

async function acknowledge(
  agent: Agent,
  call: ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>,
  signal: AbortSignal,
  onFailure: (thrown: unknown) => void,
): Promise<void> {
  const inFlight: Promise<void>[] = [];
  let position = 0;
  let previous = Promise.resolve();
  // The call is a duplex: the end of its reading side must not destroy the writing side.
  const messages: AsyncIterable<StreamFeedbackRequest__Output> = call.iterator({ destroyOnReturn: false });
  for await (const { items } of messages) {
    const from = position;
    position += items.length;
    const results = scoreWhenPossible(agent, items.map(toScore), signal);
    // Scored at once, answered in order.
    previous = Promise.all([results, previous]).then(([scored]) =>
      write(call, { outcomes: scored.map((result, index) => toOutcome(result, from + index)) }, signal),
    );
    previous.catch(onFailure);
    inFlight.push(previous);
    if (inFlight.length >= maxMessagesInFlight) await inFlight.shift();
  }
  await previous;
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
