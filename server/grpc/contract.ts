/** The contract in `proto/`, loaded once for the doors. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import {
  loadSync,
  type MessageTypeDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader';

/** The folder of the installed package: `proto/` lies there, not in the compiler's output. */
export const packageFolder = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

/** Names of the services, as in `hone.v1.<name>`. */
export const serviceNames = [
  'GenerationService',
  'FeedbackService',
  'LearnerService',
  'VersionService',
  'EventService',
  'StatusService',
  'AdminService',
] as const;

export type ServiceName = (typeof serviceNames)[number];

/** Full name of a service, as health and reflection know it. */
export function fullName(service: ServiceName): string {
  return `hone.v1.${service}`;
}

const files = ['generation', 'feedback', 'learner', 'versions', 'events', 'status', 'admin'];

/** Every message and service of the contract, with the options that its generated types were made with. */
export const contract: PackageDefinition = loadSync(
  [...files.map((name) => `hone/v1/${name}.proto`), 'google/rpc/status.proto', 'google/rpc/error_details.proto'],
  { includeDirs: [join(packageFolder, 'proto')], longs: Number, enums: String, defaults: true, oneofs: true },
);

export function serviceDefinition(service: ServiceName): ServiceDefinition {
  return contract[fullName(service)] as ServiceDefinition;
}

/** The bytes of one message of the contract. */
export function encodeMessage(typeName: string, value: object): Buffer {
  return (contract[typeName] as MessageTypeDefinition<object, object>).serialize(value);
}
