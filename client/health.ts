/** The standard health check, `grpc.health.v1`. */

import { healthService } from '../proto/contract.js';
import type { Method } from './calls.js';

/** Whether a service takes calls. */
export type Health = 'serving' | 'not_serving' | 'unknown';

/** The method that returns the health of a server (empty name) or of one of its services. */
export const healthCheck = healthService.Check as unknown as Method<
  { readonly service: string },
  { readonly status: string }
>;

/** Turns the answer into the client's type. */
export function toHealth(status: string): Health {
  if (status === 'SERVING') return 'serving';
  return status === 'NOT_SERVING' ? 'not_serving' : 'unknown';
}
