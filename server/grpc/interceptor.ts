/**
 * Does what every call needs, health included: checks the token, sends the live version as initial metadata, and
 * reports method, status and duration for the log, without any text of the request.
 */

import type { ServerHttp2Stream } from 'node:http2';
import {
  Metadata as GrpcMetadata,
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import type { ServedIdentity } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { toStatus } from '../errors.js';
import { tokenCheck } from '../token.js';
import { encodeAnswer } from './answer-size.js';
import { RefusedRequest } from './checked-decoding.js';
import { GarbagePace } from './garbage-pace.js';
import { MessageTurns } from './message-turns.js';
import { UnreadBodies } from './unread-bodies.js';

interface InterceptorOptions {
  readonly identity: () => ServedIdentity;
  /** The token that every call except health must carry; `undefined`: none. */
  readonly authToken: string | undefined;
  readonly onCall: (call: FinishedCall) => void;
  /** How long the request of a call that has only one may take to arrive. Default 60 000 ms. */
  readonly requestMs?: number;
}

/** One finished call, for the log. */
export interface FinishedCall {
  readonly path: string;
  readonly code: number;
  readonly durationMs: number;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
}

const defaultRequestMs = 60_000;

/** As interceptors give it; a field may be missing. */
type EndStatus = Parameters<ServerInterceptingCall['sendStatus']>[0];

export function createInterceptor(options: InterceptorOptions): ServerInterceptor {
  const isAllowed = tokenCheck(options.authToken);
  const { requestMs = defaultRequestMs } = options;
  const bodies = new UnreadBodies();
  const messages = new MessageTurns();
  const garbage = new GarbagePace();
  return (method, nextCall) => {
    const stream = streamOf(nextCall);
    const body = bodies.follow(stream);
    messages.spread(stream, (bytes) => {
      body.arrived(bytes);
      garbage.arrived(bytes);
    });
    let late: NodeJS.Timeout | undefined;
    const startedAt = performance.now();
    let requestId: string | undefined;
    let traceparent: string | undefined;
    let metadataSent = false;

    const describe = (metadata: Metadata): Metadata => {
      const { version, adapterDigest, packageDigest } = options.identity();
      metadata.set('hone-version', String(version));
      metadata.set('hone-adapter-digest', adapterDigest);
      metadata.set('hone-package-digest', packageDigest);
      if (requestId !== undefined) metadata.set('x-request-id', requestId);
      metadataSent = true;
      return metadata;
    };

    const end = (status: EndStatus, send: (status: EndStatus) => void): void => {
      clearTimeout(late);
      body.ended();
      // A call that fails before its first message gets the initial metadata as well.
      if (!metadataSent) nextCall.sendMetadata(describe(new GrpcMetadata()));
      send(status);
      const durationMs = performance.now() - startedAt;
      options.onCall({ path: method.path, code: status.code ?? 0, durationMs, requestId, traceparent });
    };

    const responder = new ResponderBuilder()
      .withStart((next) => {
        const listener = new ServerListenerBuilder()
          .withOnReceiveMetadata((metadata, pass) => {
            requestId = firstText(metadata, 'x-request-id');
            traceparent = firstText(metadata, 'traceparent');
            if (
              method.path.startsWith('/grpc.health.v1.Health/') ||
              isAllowed(metadata.get('authorization')[0]?.toString())
            ) {
              if (!method.requestStream)
                late = setTimeout(() => call.sendStatus(toStatus(requestIsLate(requestMs))), requestMs);
              pass(metadata);
            } else {
              call.sendStatus(
                toStatus(new HoneError('UNAUTHENTICATED', 'send metadata "authorization: Bearer <token>"')),
              );
            }
          })
          .withOnReceiveMessage((message, pass) => {
            if (method.requestStream) body.handedOver();
            if (message instanceof RefusedRequest) call.sendStatus(toStatus(message.error));
            else pass(message);
          })
          .withOnReceiveHalfClose((pass) => {
            // The library hands over the one request of a call only now.
            body.handedOver();
            clearTimeout(late);
            pass();
          })
          .withOnCancel(() => clearTimeout(late))
          .build();
        next(listener);
      })
      .withSendMetadata((metadata, next) => next(describe(metadata)))
      .withSendMessage((message, next) => {
        try {
          next(encodeAnswer(method, message));
        } catch (thrown) {
          // A status that is sent through `call` would wait for the message.
          end(toStatus(thrown), (status) => nextCall.sendStatus(status));
        }
      })
      .withSendStatus((status, next) => end(status, next))
      .build();
    const call = new ServerInterceptingCall(nextCall, responder);
    return call;
  };
}

function requestIsLate(requestMs: number): HoneError {
  return new HoneError('DEADLINE_EXCEEDED', `no request arrived for ${requestMs / 1000} s; make the call again`);
}

/** The stream of a call. The library has it in a private field, and no other part of it tells how much has arrived. */
function streamOf(call: object): ServerHttp2Stream {
  return (call as { readonly stream: ServerHttp2Stream }).stream;
}

function firstText(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key);
  return typeof value === 'string' && value.length <= 256 ? value : undefined;
}
