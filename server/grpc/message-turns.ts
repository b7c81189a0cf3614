/**
 * Spreads the messages that callers stream over turns of the event loop.
 *
 * The library decodes and hands over every message that a part of a stream completes, at once, and a part of some
 * kilobytes can hold thousands. Here a turn hands over a few kilobytes of messages, or one that is larger, of all streams
 * together; what is left waits in its stream, whose window keeps the caller from sending more.
 */

import type { ServerHttp2Stream } from 'node:http2';

/** Bytes of messages that one turn hands over. The last of them may pass the bound. */
export const messageBytesPerTurn = 1024;

export class MessageTurns {
  /** Bytes of the messages that were handed over in this turn. */
  #spent = 0;
  #isTurning = false;
  /** Streams whose data waits for a later turn, oldest first. */
  readonly #waiting = new Set<ServerHttp2Stream>();

  /**
   * Stands between the stream and the library's listener, which must be the only one.
   * @param onPart called with the length of each part that is handed over
   */
  spread(stream: ServerHttp2Stream, onPart: (bytes: number) => void): void {
    const [take] = stream.listeners('data') as [(part: Buffer) => void];
    stream.off('data', take);
    const boundaries = new MessageBoundaries();
    stream.on('data', (data: Buffer) => {
      for (let rest = data; rest.length > 0; ) {
        if (this.#spent >= messageBytesPerTurn) {
          stream.pause();
          this.#waiting.add(stream);
          putBack(stream, rest);
          return;
        }
        const { end, completed } = boundaries.pass(rest, messageBytesPerTurn - this.#spent);
        onPart(end);
        take(rest.subarray(0, end));
        rest = rest.subarray(end);
        // The library pauses the stream if it got a message, and resumes it when it takes the next one. Messages of a call
        // that is over are dropped, and cost nothing.
        if (!stream.isPaused()) continue;
        this.#spend(completed);
        putBack(stream, rest);
        return;
      }
    });
  }

  #spend(bytes: number): void {
    this.#spent += bytes;
    if (this.#isTurning) return;
    this.#isTurning = true;
    setImmediate(() => {
      this.#spent = 0;
      this.#isTurning = false;
      this.#resumeNext();
    });
  }

  /** Resumes the streams that wait, one after another, until the turn is spent. */
  #resumeNext(): void {
    if (this.#spent >= messageBytesPerTurn) return;
    const [stream] = this.#waiting;
    if (stream === undefined) return;
    this.#waiting.delete(stream);
    stream.resume();
    // Its data comes in the tick before this one.
    process.nextTick(() => this.#resumeNext());
  }
}

function putBack(stream: ServerHttp2Stream, data: Buffer): void {
  if (data.length > 0 && !stream.destroyed) stream.unshift(data);
}

/** Flag and length of a message in gRPC's framing. */
const headBytes = 5;

/** Follows where the messages of one stream end. */
class MessageBoundaries {
  /** Bytes of the head that have arrived. */
  #head = 0;
  #length = 0;
  /** Bytes of the message that are still to come. */
  #rest = 0;

  /**
   * Follows the data until its messages take `most` bytes, at least to the end of one.
   * @returns where that is, and the bytes of the messages that end before it
   */
  pass(data: Buffer, most: number): { readonly end: number; readonly completed: number } {
    let completed = 0;
    let position = 0;
    while (position < data.length && completed < most) {
      if (this.#head < headBytes) {
        if (this.#head > 0) this.#length = this.#length * 256 + (data[position] as number);
        this.#head += 1;
        position += 1;
        if (this.#head < headBytes) continue;
        this.#rest = this.#length;
      } else {
        const taken = Math.min(this.#rest, data.length - position);
        this.#rest -= taken;
        position += taken;
      }
      if (this.#rest > 0) continue;
      completed += headBytes + this.#length;
      this.#head = 0;
      this.#length = 0;
    }
    return { end: position, completed };
  }
}
