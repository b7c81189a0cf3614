/**
 * Bounds the bytes of requests that have begun to arrive and are not complete.
 *
 * The library keeps the parts of a message until it is whole, and the one request of a call until its caller has ended
 * its side. A client with many calls that it never completes could fill the memory. If a connection passes its bound, its
 * largest call is ended; if all together pass theirs, it is the largest call of the connection that holds most.
 */

import { constants, type ServerHttp2Stream } from 'node:http2';

/** Most bytes of incomplete requests of one connection, and of all. */
export const maxUnreadBytes = { ofConnection: 16 * 1024 * 1024, ofAll: 64 * 1024 * 1024 } as const;

/** What has arrived of the request of one call. */
export interface UnreadBody {
  /** Call with the length of each part that arrives. */
  arrived(bytes: number): void;
  /** Call when a message is complete and was handed over. */
  handedOver(): void;
  /** Call when the call has its status: the library drops what still arrives. */
  ended(): void;
}

interface Call {
  bytes: number;
  /** Ends the call and forgets its bytes. */
  readonly end: () => void;
}

interface Connection {
  readonly calls: Set<Call>;
  bytes: number;
}

export class UnreadBodies {
  readonly #connections = new Map<object, Connection>();
  #bytes = 0;

  follow(stream: ServerHttp2Stream): UnreadBody {
    const key: object = stream.session ?? stream;
    const call: Call = {
      bytes: 0,
      end() {
        ended();
        // Clients read this as RESOURCE_EXHAUSTED.
        stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      },
    };
    const add = (bytes: number): void => {
      const connection = this.#connections.get(key) ?? { calls: new Set(), bytes: 0 };
      call.bytes += bytes;
      connection.bytes += bytes;
      this.#bytes += bytes;
      if (call.bytes > 0) connection.calls.add(call);
      else connection.calls.delete(call);
      if (connection.calls.size > 0) this.#connections.set(key, connection);
      else this.#connections.delete(key);
    };
    const forget = (): void => {
      if (call.bytes > 0) add(-call.bytes);
    };
    let isOver = false;
    const arrived = (length: number): void => {
      if (isOver) return;
      add(length);
      const connection = this.#connections.get(key);
      if (connection !== undefined && connection.bytes > maxUnreadBytes.ofConnection)
        largestOf(connection.calls)?.end();
      if (this.#bytes > maxUnreadBytes.ofAll) largestOf(largestOf(this.#connections.values())?.calls ?? [])?.end();
    };
    const ended = (): void => {
      isOver = true;
      forget();
    };
    stream.once('close', ended);
    return { arrived, handedOver: forget, ended };
  }
}

function largestOf<Holder extends { readonly bytes: number }>(holders: Iterable<Holder>): Holder | undefined {
  let largest: Holder | undefined;
  for (const holder of holders) if (largest === undefined || holder.bytes > largest.bytes) largest = holder;
  return largest;
}
