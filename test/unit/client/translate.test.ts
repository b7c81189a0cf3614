/** Messages of the contract in the client's words. */

import { describe, expect, it } from 'vitest';
import { plain, toGenerateMessage } from '../../../client/translate.js';

describe('plain', () => {
  it('shortens enums, drops nulls and the loader\u2019s marks, and leaves unspecified enums out', () => {
    const message = {
      state: 'GENERATION_STATE_FINISHED',
      finishReason: 'FINISH_REASON_UNSPECIFIED',
      live: null,
      loss: 0,
      _loss: 'loss',
      scores: [{ value: 1, _x: 'x' }],
    };
    expect(plain(message)).toEqual({ state: 'finished', loss: 0, scores: [{ value: 1 }] });
  });

  it('touches neither text that looks like an enum nor keys of the app that look like marks', () => {
    const message = { text: 'ROLE_USER', metadata: { _private: 'yes', plan: 'ROLE_USER' } };
    expect(plain(message)).toEqual(message);
  });
});

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
