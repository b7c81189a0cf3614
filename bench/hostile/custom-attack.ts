/** An attack that a generator of tests has made: messages of its choice to methods of its choice, all at once. */

import type { Attack } from './attack.js';

/** A call with one message. It goes over the channel to the attacker's process. */
export interface CustomCall {
  readonly path: string;
  /** The message, base64. The server unpacks it, so that the channel stays small. */
  readonly message: string;
  /** Whether the caller leaves at once. */
  readonly cancels: boolean;
}

export interface CustomAttack {
  readonly calls: readonly CustomCall[];
}

export function customAttack({ calls }: CustomAttack): Attack {
  return {
    name: 'custom',
    async round(target) {
      const connection = target.grpc();
      const stop = new AbortController();
      const ended = calls.map(({ path, message, cancels }) =>
        connection.call(path, Buffer.from(message, 'base64'), { signal: cancels ? stop.signal : target.over }),
      );
      await new Promise((resolve) => setImmediate(resolve));
      stop.abort();
      await Promise.all(ended);
    },
  };
}
