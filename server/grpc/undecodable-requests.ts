/**
 * Requests whose bytes cannot be decoded. gRPC libraries end such a call as INTERNAL, although the caller is at fault.
 * Here the request is replaced by a marker, which the interceptor refuses as INVALID_REQUEST.
 */

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HoneError } from '../../src/errors.js';

/** Takes the place of a request that cannot be decoded. */
export class UndecodableRequest {}

/** The same service, with an {@link UndecodableRequest} for each request that cannot be decoded. */
export function markUndecodableRequests<Definition extends ServiceDefinition<UntypedServiceImplementation>>(
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
          return new UndecodableRequest();
        }
      },
    },
  ]);
  return Object.fromEntries(methods) as Definition;
}

/** The error for the caller of an {@link UndecodableRequest}. */
export function undecodableRequest(): HoneError {
  return new HoneError(
    'INVALID_REQUEST',
    "the request's bytes are not the message of this method; make the client from proto/hone/v1",
  );
}
