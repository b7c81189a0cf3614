/** FeedbackService: every item is acknowledged after its commit, in order, and a refused one disturbs no other. */

import type { FeedbackItem__Output } from '../../proto/generated/hone/v1/FeedbackItem.js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { FeedbackServiceHandlers } from '../../proto/generated/hone/v1/FeedbackService.js';
import type { FeedbackStatus } from '../../proto/generated/hone/v1/FeedbackStatus.js';
import type { SubmitFeedbackRequest__Output } from '../../proto/generated/hone/v1/SubmitFeedbackRequest.js';
import type { Agent, ScoreInput, ScoreResult } from '../../src/agent/index.js';
import { toRpcStatus } from '../errors.js';
import { callSignal, failure, type ReportError, unary } from './calls.js';
import { acknowledge, type FeedbackCall } from './feedback-stream.js';

export function feedbackHandlers(agent: Agent, report: ReportError): FeedbackServiceHandlers {
  return {
    SubmitFeedback: unary(report, async ({ items }: SubmitFeedbackRequest__Output) => {
      const results = await agent.score(items.map(toScore));
      const [first] = results;
      if (first?.status === 'refused' && results.every(({ status }) => status === 'refused')) throw first.error;
      return { outcomes: results.map((result, index) => toOutcome(result, index)) };
    }),
    StreamFeedback: (call: FeedbackCall) => {
      const signal = callSignal(call);
      const take = async (items: readonly FeedbackItem__Output[], from: number): Promise<FeedbackOutcome[]> =>
        (await agent.score(items.map(toScore))).map((result, index) => toOutcome(result, from + index));
      acknowledge(call, take, signal).then(
        () => call.end(),
        (thrown: unknown) => call.emit('error', failure(report, call.getPath(), thrown)),
      );
    },
  };
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
