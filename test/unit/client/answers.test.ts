/** What the client makes of answers that lack a part, or hold values of a later release. */

import { describe, expect, it } from 'vitest';
import { toEvent, toFeedbackOutcome, toGenerateResult, toLearnerStatus, toVersion } from '../../../client/answers.js';
import { decodeMessage, encodeMessage } from '../../../proto/contract.js';
import type { Event__Output } from '../../../proto/generated/hone/v1/Event.js';
import type { FeedbackOutcome__Output } from '../../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { GenerateResponse__Output } from '../../../proto/generated/hone/v1/GenerateResponse.js';
import type { LearnerStatus__Output } from '../../../proto/generated/hone/v1/LearnerStatus.js';
import type { Version__Output } from '../../../proto/generated/hone/v1/Version.js';

/** A message that went over the wire. */
function received<Message>(name: string, value: object): Message {
  return decodeMessage<Message>(`hone.v1.${name}`, encodeMessage(`hone.v1.${name}`, value));
}

const lossOf = (what: RegExp) => expect.objectContaining({ code: 'DATA_LOSS', message: expect.stringMatching(what) });

describe('an answer without a part that every answer has', () => {
  it('fails with DATA_LOSS and names the part', () => {
    const answer = received<GenerateResponse__Output>('GenerateResponse', { completions: [{ index: 0 }] });
    expect(() => toGenerateResult(answer)).toThrow(lossOf(/without the usage/));
    expect(() => toLearnerStatus(received<LearnerStatus__Output>('LearnerStatus', {}))).toThrow(lossOf(/buffer/));
    expect(() => toVersion(null)).toThrow(lossOf(/without the version/));
    const refused = received<FeedbackOutcome__Output>('FeedbackOutcome', { status: 'FEEDBACK_STATUS_REFUSED' });
    expect(() => toFeedbackOutcome(refused)).toThrow(lossOf(/reason of a refusal/));
  });
});

describe('a value of a later release', () => {
  it('is `unknown`, and the rest of the answer stays', () => {
    const event = received<Event__Output>('Event', { sequence: 7, type: 9999, detail: 'something new' });
    expect(toEvent(event)).toMatchObject({ sequence: 7, type: 'unknown', detail: 'something new' });
    const version = received<Version__Output>('Version', { number: 3, state: 99, origin: 'VERSION_ORIGIN_LEARNED' });
    expect(toVersion(version)).toMatchObject({ number: 3, state: 'unknown', origin: 'learned' });
    const outcome = received<FeedbackOutcome__Output>('FeedbackOutcome', { position: 2, status: 99 });
    expect(toFeedbackOutcome(outcome)).toEqual({ position: 2, status: 'unknown' });
  });
});
