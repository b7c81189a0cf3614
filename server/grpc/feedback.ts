/** FeedbackService: each item is acknowledged after its commit, in order. A refused item does not affect the others. */

import { enumNames } from '../../proto/enum-names.js';
import type { FeedbackItem__Output } from '../../proto/generated/hone/v1/FeedbackItem.js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { FeedbackServiceHandlers } from '../../proto/generated/hone/v1/FeedbackService.js';
import type { SubmitFeedbackRequest__Output } from '../../proto/generated/hone/v1/SubmitFeedbackRequest.js';
import type { Agent, FeedbackInput, FeedbackResult } from '../../src/agent/index.js';
import { OwnTurns } from '../../src/process/own-turns.js';
import { toRpcStatus } from '../errors.js';
import { callSignal, failure, type ReportError, unary } from './calls.js';
import { toProtoExplanation } from './explanation.js';
import { acknowledge, type FeedbackCall, type PieceStart } from './feedback-stream.js';

export function feedbackHandlers(agent: Agent, report: ReportError): FeedbackServiceHandlers {
  const turns = new OwnTurns();
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
    StreamFeedback: (call: FeedbackCall) => {
      const signal = callSignal(call);
      const take = async (items: readonly FeedbackItem__Output[], start: PieceStart): Promise<FeedbackOutcome[]> => {
        const results = await agent.feedback(items.map(toInput), start.inMessage);
        return results.map((result, index) => toOutcome(result, start.inStream + index));
      };
      acknowledge(call, take, turns, signal).then(
        () => call.end(),
        (thrown: unknown) => call.emit('error', failure(report, call.getPath(), thrown)),
      );
    },
  };
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
        : {
            otherGenerationId: preference.otherGenerationId,
            outcome: enumNames.PreferenceOutcome.toName(preference.outcome) ?? '',
          },
    edit: edit === undefined || edit === null ? undefined : { text: edit.text, score: edit.score },
    rater,
    metric,
    idempotencyKey,
  };
}

function toOutcome(result: FeedbackResult, position: number): FeedbackOutcome {
  const status = enumNames.FeedbackStatus.toValue(result.status);
  if (result.status === 'refused') return { position, status, error: toRpcStatus(result.error) };
  const { sequence, generationId = '' } = result;
  return { position, status, sequence, generationId };
}
