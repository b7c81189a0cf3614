/**
 * The contract in the form that runs: services and messages of `proto/`, for the doors and for the client alike.
 *
 * They are compiled in (`scripts/build.mjs` makes `generated/contract.ts` of the `.proto` files), so that a program that
 * was bundled into one file needs no other file when it runs.
 */

import { fromJSON, type MessageTypeDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { descriptor } from './generated/contract.js';
import type { AdminServiceDefinition } from './generated/hone/v1/AdminService.js';
import type { EventServiceDefinition } from './generated/hone/v1/EventService.js';
import type { FeedbackServiceDefinition } from './generated/hone/v1/FeedbackService.js';
import type { GenerationServiceDefinition } from './generated/hone/v1/GenerationService.js';
import type { LearnerServiceDefinition } from './generated/hone/v1/LearnerService.js';
import type { StatusServiceDefinition } from './generated/hone/v1/StatusService.js';
import type { VersionServiceDefinition } from './generated/hone/v1/VersionService.js';

/** Every message and service, with the options that scripts/build.mjs makes the types with. */
export const contract = fromJSON(descriptor, { longs: Number, enums: String, defaults: true, oneofs: true });

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
export function fullName(name: ServiceName): string {
  return `hone.v1.${name}`;
}

/** A service, its methods by name. */
export function serviceDefinition(name: ServiceName): ServiceDefinition {
  return contract[fullName(name)] as ServiceDefinition;
}

const typed = <Definition>(name: ServiceName): Definition => serviceDefinition(name) as Definition;

/** The services with the types of their methods. */
export const services = {
  admin: typed<AdminServiceDefinition>('AdminService'),
  events: typed<EventServiceDefinition>('EventService'),
  feedback: typed<FeedbackServiceDefinition>('FeedbackService'),
  generation: typed<GenerationServiceDefinition>('GenerationService'),
  learner: typed<LearnerServiceDefinition>('LearnerService'),
  status: typed<StatusServiceDefinition>('StatusService'),
  versions: typed<VersionServiceDefinition>('VersionService'),
};

/** The standard health service, `grpc.health.v1`. */
export const healthService = contract['grpc.health.v1.Health'] as ServiceDefinition;

/** The bytes of one message of the contract. */
export function encodeMessage(typeName: string, value: object): Buffer {
  return (contract[typeName] as MessageTypeDefinition<object, object>).serialize(value);
}

/** Reads one message of the contract from its bytes. */
export function decodeMessage<T>(typeName: string, bytes: Buffer): T {
  return (contract[typeName] as MessageTypeDefinition<unknown, T>).deserialize(bytes);
}
