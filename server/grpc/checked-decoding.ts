/**
 * Decodes requests whose bytes pass the check of `wire-check.ts`.
 *
 * gRPC libraries end a call whose request cannot be decoded as INTERNAL, although the caller is at fault. Here a refusal
 * takes the request's place, and the interceptor ends the call with it as INVALID_REQUEST.
 */

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { requestType } from '../../proto/contract.js';
import { HoneError } from '../../src/errors.js';
import { findWireFault, type WireFault } from './wire-check.js';
import { shapeOf } from './wire-shape.js';

/** Takes the place of a request that is not decoded. */
export class RefusedRequest {
  readonly error: HoneError;

  constructor(error: HoneError) {
    this.error = error;
  }
}

/** The same service, with a {@link RefusedRequest} for each request that fails the check or cannot be decoded. */
export function checkedDecoding<Definition extends ServiceDefinition<UntypedServiceImplementation>>(
  service: Definition,
): Definition {
  const methods = Object.entries(service).map(([name, method]) => {
    const shape = shapeOf(requestType(method.path));
    const requestDeserialize = (bytes: Buffer) => {
      const fault = findWireFault(bytes, shape);
      if (fault !== undefined) return new RefusedRequest(errorOf(fault));
      try {
        return method.requestDeserialize(bytes);
      } catch {
        return new RefusedRequest(notTheMessage());
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods) as Definition;
}

function errorOf({ field, description }: WireFault): HoneError {
  if (field === '') return notTheMessage();
  return new HoneError('INVALID_REQUEST', `the request is invalid: ${field}: ${description}`, {
    violations: [{ field, description }],
  });
}

function notTheMessage(): HoneError {
  return new HoneError(
    'INVALID_REQUEST',
    "the request's bytes are not the message of this method; make the client from proto/hone/v1",
  );
}
