/** Messages of the contract as plain data. */

import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from '../../../proto/contract.js';
import type { Event__Output } from '../../../proto/generated/hone/v1/Event.js';
import type { Generation__Output } from '../../../proto/generated/hone/v1/Generation.js';
import type { GetServerStatusResponse__Output } from '../../../proto/generated/hone/v1/GetServerStatusResponse.js';
import { plainMessage } from '../../../proto/plain-message.js';

/** A message that went over the wire. */
function received<Message>(name: string, value: object): Message {
  return decodeMessage<Message>(`hone.v1.${name}`, encodeMessage(`hone.v1.${name}`, value));
}

const generation = (value: object) => plainMessage('Generation', received<Generation__Output>('Generation', value));

describe('a message as plain data', () => {
  it('has short names for enum values, at any depth', () => {
    const message = {
      state: 'GENERATION_STATE_FINISHED',
      finishReason: 'FINISH_REASON_STOP',
      messages: [{ role: 'ROLE_USER', content: 'hi' }],
    };
    expect(generation(message)).toMatchObject({
      state: 'finished',
      finishReason: 'stop',
      messages: [{ role: 'user', content: 'hi' }],
    });
  });

  it('leaves absent fields out, with the marks that the loader makes of present ones', () => {
    expect(generation({ state: 'GENERATION_STATE_RUNNING' })).not.toHaveProperty('finishReason');
    const ended = generation({ finishedAtMs: 5 });
    expect(ended.finishedAtMs).toBe(5);
    expect(Object.keys(ended).filter((key) => key.startsWith('_'))).toEqual([]);
    const status = received<GetServerStatusResponse__Output>('GetServerStatusResponse', { packageName: 'tiny' });
    expect(status.live).toBeNull();
    expect(plainMessage('GetServerStatusResponse', status)).not.toHaveProperty('live');
  });

  it('has `unknown` for an enum value without a name', () => {
    const event = (type: number) => plainMessage('Event', received<Event__Output>('Event', { type }));
    expect([0, 1, 9999].map((type) => event(type).type)).toEqual(['unknown', 'server_started', 'unknown']);
  });

  it('leaves text that looks like an enum value, and labels that look like marks, as they are', () => {
    const labels = { _private: 'private', plan: 'ROLE_USER' };
    expect(generation({ text: 'ROLE_USER', metadata: labels })).toMatchObject({ text: 'ROLE_USER', metadata: labels });
  });

  it('converts the messages in a map', () => {
    const reward = { metrics: { clicks: { max: 1, windowMs: 9, late: 'LATE_SCORES_IGNORE' } } };
    const status = received<GetServerStatusResponse__Output>('GetServerStatusResponse', { reward });
    const plain = plainMessage('GetServerStatusResponse', status);
    expect(plain.reward?.metrics).toEqual({ clicks: { min: 0, max: 1, weight: 0, windowMs: 9, late: 'ignore' } });
  });
});
