/** The HTTP listener with the metrics page for Prometheus. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { HoneError } from '../../src/errors.js';
import { tokenCheck } from '../token.js';

interface MetricsListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** The token that a caller must send; `undefined`: none. */
  readonly authToken: string | undefined;
  readonly contentType: string;
  /** Makes the page. */
  readonly page: () => Promise<string>;
  /** Called if a page cannot be made. */
  readonly report: (error: HoneError) => void;
}

export interface MetricsListener {
  /** URL of the page. */
  readonly url: string;
  /** Answers the open requests, then closes every connection. Idempotent. */
  close(): Promise<void>;
}

const path = '/metrics';

/** @throws HoneError `INVALID_OPTIONS` if the server cannot listen on the address; the cause has the system's code */
export async function openMetricsListener(options: MetricsListenerOptions): Promise<MetricsListener> {
  const isAllowed = tokenCheck(options.authToken);
  const server = createServer((request, response) => {
    answer(options, isAllowed, () => server.listening, request, response).catch((thrown: unknown) => {
      options.report(HoneError.from(thrown));
      end(response, 500, 'the metrics could not be read; see the log for the reason\n');
    });
  });
  const { host, port } = options;
  server.listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new HoneError('INVALID_OPTIONS', `metrics cannot be served at ${host}:${port}: ${message}`, { cause });
  }
  const bound = (server.address() as AddressInfo).port;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${isIP(host) === 6 ? `[${host}]` : host}:${bound}${path}`,
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        // A scraper keeps its connection open for its next request.
        server.closeIdleConnections();
      });
      return closing;
    },
  };
}

async function answer(
  options: MetricsListenerOptions,
  isAllowed: (header: string | undefined) => boolean,
  isOpen: () => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if ((request.url ?? '').split('?')[0] !== path) return end(response, 404, `the metrics are at ${path}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return end(response, 405, 'only GET and HEAD\n');
  }
  if (!isAllowed(request.headers.authorization)) {
    response.setHeader('WWW-Authenticate', 'Bearer');
    return end(response, 401, 'send "Authorization: Bearer <token>"\n');
  }
  const page = await options.page();
  // A connection that stays open would delay the end of the server.
  if (!isOpen()) response.setHeader('Connection', 'close');
  response.setHeader('Content-Type', options.contentType);
  end(response, 200, page);
}

function end(response: ServerResponse, status: number, body: string): void {
  response.statusCode = status;
  if (!response.hasHeader('Content-Type')) response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(body);
}
