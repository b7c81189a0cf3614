/**
 * Messages that are no messages. gRPC libraries end a call whose request cannot be decoded as INTERNAL; it is the
 * caller's fault, and the caller is told so.
 */

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HoneError } from '../../src/errors.js';

/** Stands in for a request whose bytes are not one; the interceptor refuses it. */
export class UnreadableRequest {}

/** The same service, where an undecodable request becomes an {@link UnreadableRequest}. */
export function readable<Definition extends ServiceDefinition<UntypedServiceImplementation>>(
  service: Definition,
): Definition {
  const methods = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize: (bytes: Buffer) => {
        try {
          return method.requestDeserialize(bytes);
        } catch {
          return new UnreadableRequest();
        }
      },
    },
  ]);
  return Object.fromEntries(methods) as Definition;
}

/** What the caller of an {@link UnreadableRequest} is told. */
export function unreadableRequest(): HoneError {
  return new HoneError(
    'INVALID_REQUEST',
    "the request's bytes are not the message of this method; make the client from proto/hone/v1",
  );
}
