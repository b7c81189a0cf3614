/** The contract in proto/, loaded once: its services, and its messages by name. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { AdminServiceDefinition } from '../proto/generated/hone/v1/AdminService.js';
import type { EventServiceDefinition } from '../proto/generated/hone/v1/EventService.js';
import type { FeedbackServiceDefinition } from '../proto/generated/hone/v1/FeedbackService.js';
import type { GenerationServiceDefinition } from '../proto/generated/hone/v1/GenerationService.js';
import type { LearnerServiceDefinition } from '../proto/generated/hone/v1/LearnerService.js';
import type { StatusServiceDefinition } from '../proto/generated/hone/v1/StatusService.js';
import type { VersionServiceDefinition } from '../proto/generated/hone/v1/VersionService.js';

/** The folder of the installed package: `proto/` lies there, not in the compiler's output. */
export const packageFolder = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

const files = ['admin', 'events', 'feedback', 'generation', 'learner', 'status', 'versions'].map(
  (name) => `hone/v1/${name}.proto`,
);

// The same options as in scripts/build.mjs, which makes the types.
const loaded = loadSync([...files, 'google/rpc/status.proto', 'google/rpc/error_details.proto'], {
  includeDirs: [join(packageFolder, 'proto')],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

const service = <T>(name: string): T => loaded[`hone.v1.${name}`] as T;

/** The services of the contract, with their methods. */
export const services = {
  admin: service<AdminServiceDefinition>('AdminService'),
  events: service<EventServiceDefinition>('EventService'),
  feedback: service<FeedbackServiceDefinition>('FeedbackService'),
  generation: service<GenerationServiceDefinition>('GenerationService'),
  learner: service<LearnerServiceDefinition>('LearnerService'),
  status: service<StatusServiceDefinition>('StatusService'),
  versions: service<VersionServiceDefinition>('VersionService'),
};

/** Reads one message of the contract from its bytes. */
export function decodeMessage<T>(typeName: string, bytes: Buffer): T {
  return (loaded[typeName] as MessageTypeDefinition<unknown, T>).deserialize(bytes);
}
