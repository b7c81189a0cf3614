/** What the client sends, as messages of the contract. */

import { describe, expect, it } from 'vitest';
import { toFeedbackMessage, toGenerateMessage, toModeMessage, toWatchMessage } from '../../../client/requests.js';

describe('the message of a request', () => {
  it('has sampling settings in a message of their own and no field that was not given', () => {
    const request = { messages: [{ role: 'user', content: 'hi' } as const], temperature: 0, n: 2, topK: undefined };
    expect(toGenerateMessage(request)).toEqual({
      messages: [{ role: 'ROLE_USER', content: 'hi' }],
      sampling: { temperature: 0 },
      n: 2,
    });
  });
});

describe('short names', () => {
  it('become the enum values of the contract', () => {
    expect(toModeMessage('auto')).toEqual({ mode: 'MODE_AUTO' });
    expect(toWatchMessage(3)).toEqual({ afterSequence: 3 });
    expect(toWatchMessage(undefined)).toEqual({});
    const pair = { generationId: 'a', otherGenerationId: 'b' };
    const outcomes = (['better', 'worse', 'tie', null] as const).map(
      (preference) => toFeedbackMessage({ ...pair, preference }).preference?.outcome,
    );
    expect(outcomes).toEqual(['BETTER', 'WORSE', 'TIE', 'RETRACTED'].map((name) => `PREFERENCE_OUTCOME_${name}`));
  });
});
