/** One HTTP/2 connection on which calls are made with bytes of the attacker's choice. */

import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { framed } from './wire.js';

export interface CallOptions {
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Whether the body ends. If not, the call stays open until the connection closes. Default true. */
  readonly ends?: boolean;
  /** Whether the answer is read. Default true. */
  readonly reads?: boolean;
  /** Aborts the call. */
  readonly signal?: AbortSignal;
}

/** The ends of calls by status of gRPC, or by the error that ended them. */
export type Outcomes = Record<string, number>;

/** Most bytes of headers that this client sends, so that it is the server that refuses them. */
const maxHeaderBytes = 64 * 1024 * 1024;

export class GrpcConnection {
  readonly #session: ClientHttp2Session;
  readonly #outcomes: Outcomes;
  readonly #token: string | undefined;

  /** @param outcomes gets the end of every call */
  constructor(address: string, outcomes: Outcomes, token?: string) {
    this.#outcomes = outcomes;
    this.#token = token;
    this.#session = connect(`http://${address}`, {
      maxSendHeaderBlockLength: maxHeaderBytes,
      maxSessionMemory: 4096,
      settings: { initialWindowSize: 1024 * 1024 },
    });
    // Each call reports its own end.
    this.#session.on('error', () => undefined);
  }

  get isUsable(): boolean {
    return !this.#session.destroyed && !this.#session.closed;
  }

  /** Makes a call with one message. Resolves with its outcome. */
  call(path: string, message: Buffer, options: CallOptions = {}): Promise<string> {
    return this.send(path, [framed(message)], options);
  }

  /** Makes a call with a body that is already framed; the parts are sent one after another. */
  async send(path: string, body: Iterable<Buffer>, options: CallOptions = {}): Promise<string> {
    const stream = this.open(path, options);
    if (stream === null) return this.#count('connection closed');
    const ended = this.#endOf(stream);
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    for (const part of body) {
      if (isOver) break;
      if (!stream.write(part)) await Promise.race([ended, new Promise((resolve) => stream.once('drain', resolve))]);
    }
    if (!isOver && options.ends !== false) stream.end();
    return ended;
  }

  /** Sends the headers of a call. @returns null if the connection is closed */
  open(path: string, { headers = {}, reads = true, signal }: CallOptions = {}): ClientHttp2Stream | null {
    if (!this.isUsable) return null;
    try {
      const stream = this.#session.request(
        {
          [constants.HTTP2_HEADER_METHOD]: 'POST',
          [constants.HTTP2_HEADER_PATH]: path,
          'content-type': 'application/grpc',
          te: 'trailers',
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          ...headers,
        },
        { endStream: false, ...(signal === undefined ? {} : { signal }) },
      );
      stream.on('error', () => undefined);
      if (reads) stream.resume();
      return stream;
    } catch {
      return null;
    }
  }

  close(): void {
    this.#session.destroy();
  }

  #endOf(stream: ClientHttp2Stream): Promise<string> {
    return new Promise((resolve) => {
      let status: string | undefined;
      const see = (headers: Record<string, unknown>): void => {
        const found = headers['grpc-status'];
        if (found !== undefined) status = `status ${String(found)}`;
        else if (headers[':status'] !== undefined && headers[':status'] !== 200)
          status = `http ${String(headers[':status'])}`;
      };
      stream.on('response', see);
      stream.on('trailers', see);
      stream.once('close', () => resolve(this.#count(status ?? `reset ${stream.rstCode}`)));
    });
  }

  #count(outcome: string): string {
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
    return outcome;
  }
}
