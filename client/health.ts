/** The standard health check, `grpc.health.v1`. */

import { healthService } from '../proto/contract.js';
import type { Method } from './calls.js';

/** Whether a service takes calls. */
export type Health = 'serving' | 'not_serving' | 'unknown';

/** The method that asks a server (empty name), or one of its services, for its health. */
export const healthCheck = healthService.Check as unknown as Method<
  { readonly service: string },
  { readonly status: string }
>;

/** The answer in the client's words. */
export function toHealth(status: string): Health {
  if (status === 'SERVING') return 'serving';
  return status === 'NOT_SERVING' ? 'not_serving' : 'unknown';
}
