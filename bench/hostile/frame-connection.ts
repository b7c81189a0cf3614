/** One TCP connection on which frames of HTTP/2 are written by hand, also those that no library would write. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Types of frames (RFC 9113, section 6). */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const endStream = 1;
export const endHeaders = 4;

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const acknowledgement = 1;

/** A frame. @param stream 0 for the connection */
export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field that the peer does not index (RFC 7541, section 6.2.2). */
export function headerField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), headerText(name), headerText(value)]);
}

/** The headers of a gRPC call. */
export function callHeaders(path: string): Buffer {
  return Buffer.concat([
    headerField(':method', 'POST'),
    headerField(':scheme', 'http'),
    headerField(':path', path),
    headerField(':authority', 'hone'),
    headerField('content-type', 'application/grpc'),
    headerField('te', 'trailers'),
  ]);
}

function headerText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([headerNumber(bytes.length), bytes]);
}

/** A number with a prefix of 7 bits (RFC 7541, section 5.1). */
function headerNumber(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

export class FrameConnection {
  readonly #socket: Socket;
  #unread: Buffer = Buffer.alloc(0);

  /** @param starts whether the preface and the settings are sent. Default true. */
  static async open(address: string, { starts = true } = {}): Promise<FrameConnection> {
    const colon = address.lastIndexOf(':');
    const socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
    socket.on('error', () => undefined);
    // A connection that the server refuses is not usable, which the caller sees.
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined);
    const connection = new FrameConnection(socket);
    if (starts) await connection.send(Buffer.concat([preface, frame(frameTypes.settings, 0, 0)]));
    return connection;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
  }

  get isUsable(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  /** Writes bytes. Resolves when the system has taken them, or when the connection is closed. */
  async send(bytes: Buffer): Promise<void> {
    if (!this.isUsable || this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.once('drain', done).once('close', done);
    });
  }

  /** Resolves when the server has closed the connection, or after `ms`. */
  async closed(ms: number): Promise<void> {
    if (this.#socket.destroyed) return;
    await once(this.#socket, 'close', { signal: AbortSignal.timeout(ms) }).catch(() => undefined);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Acknowledges settings and pings, because a server may close the connection of a client that does not. */
  #read(bytes: Buffer): void {
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
    let at = 0;
    while (this.#unread.length - at >= 9) {
      const length = this.#unread.readUIntBE(at, 3);
      if (this.#unread.length - at < 9 + length) break;
      const type = this.#unread.readUInt8(at + 3);
      const isAsked = (this.#unread.readUInt8(at + 4) & acknowledgement) === 0;
      if (type === frameTypes.settings && isAsked) void this.send(frame(type, acknowledgement, 0));
      if (type === frameTypes.ping && isAsked) {
        void this.send(frame(type, acknowledgement, 0, this.#unread.subarray(at + 9, at + 9 + length)));
      }
      at += 9 + length;
    }
    this.#unread = this.#unread.subarray(at);
  }
}
