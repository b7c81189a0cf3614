/**
 * Bounds the bytes of messages that have begun to arrive and are not complete.
 *
 * The library keeps the parts of a message until it is whole, so a client with many calls that never complete a message
 * could fill the memory. The call with which a connection, or all of them, pass the bound is ended.
 */

import { constants, type ServerHttp2Stream } from 'node:http2';

/** Most bytes of incomplete messages of one connection, and of all. */
export const maxUnreadBytes = { ofConnection: 16 * 1024 * 1024, ofAll: 64 * 1024 * 1024 } as const;

export class UnreadBodies {
  readonly #byConnection = new WeakMap<object, number>();
  #ofAll = 0;

  /** Counts the bytes of a call until it ends. @returns a function to call when a message of it is complete */
  follow(stream: ServerHttp2Stream): () => void {
    const connection: object = stream.session ?? stream;
    let unread = 0;
    const add = (bytes: number): void => {
      unread += bytes;
      this.#ofAll += bytes;
      this.#byConnection.set(connection, (this.#byConnection.get(connection) ?? 0) + bytes);
    };
    const forget = (): void => add(-unread);
    stream.on('data', (part: Buffer) => {
      add(part.length);
      const ofConnection = this.#byConnection.get(connection) ?? 0;
      if (ofConnection <= maxUnreadBytes.ofConnection && this.#ofAll <= maxUnreadBytes.ofAll) return;
      forget();
      // Clients read this as RESOURCE_EXHAUSTED.
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    stream.once('close', forget);
    return forget;
  }
}
