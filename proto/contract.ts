/**
 * The services and messages of `proto/` at run time, for the server and for the client.
 *
 * `scripts/build.mjs` compiles the `.proto` files into `generated/contract.ts`, so that a program that was bundled into
 * one file needs no other file when it runs.
 */

import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import protobuf from 'protobufjs/light.js';
import { descriptor } from './generated/contract.js';
import type { AdminServiceDefinition } from './generated/hone/v1/AdminService.js';
import type { EventServiceDefinition } from './generated/hone/v1/EventService.js';
import type { FeedbackServiceDefinition } from './generated/hone/v1/FeedbackService.js';
import type { GenerationServiceDefinition } from './generated/hone/v1/GenerationService.js';
import type { LearnerServiceDefinition } from './generated/hone/v1/LearnerService.js';
import type { StatusServiceDefinition } from './generated/hone/v1/StatusService.js';
import type { VersionServiceDefinition } from './generated/hone/v1/VersionService.js';

/** How messages become objects. `scripts/build.mjs` generates the types with the same options. */
export const conversion = { longs: Number, enums: String, defaults: true, oneofs: true } as const;

const root = protobuf.Root.fromJSON(descriptor);
root.resolveAll();

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

/** The full name of a service, as health and reflection use it. */
export function fullName(name: ServiceName): string {
  return `hone.v1.${name}`;
}

/** A service, its methods by name. */
export function serviceDefinition(name: ServiceName): ServiceDefinition {
  return defineService(fullName(name));
}

const typed = <Definition>(name: ServiceName): Definition => serviceDefinition(name) as Definition;

/** The services, typed by their methods. */
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
export const healthService = defineService('grpc.health.v1.Health');

/** The values of an enum of `hone.v1`, in the order of the file: the unspecified one first. */
export function enumValues(name: string): readonly string[] {
  return Object.keys(root.lookupEnum(`hone.v1.${name}`).values);
}

/** A message of the contract with its fields. */
export function messageType(name: string): protobuf.Type {
  return root.lookupType(name);
}

/** The request of a method. @param path as in a call, `/hone.v1.StatusService/GetServerStatus` */
export function requestType(path: string): protobuf.Type {
  const [, service = '', method = ''] = path.split('/');
  return root.lookupService(service).methods[method]?.resolvedRequestType as protobuf.Type;
}

/** Encodes a message of the contract. */
export function encodeMessage(typeName: string, value: object): Buffer {
  return serialize(root.lookupType(typeName), value);
}

/** Decodes a message of the contract. */
export function decodeMessage<T>(typeName: string, bytes: Buffer): T {
  return deserialize(root.lookupType(typeName), bytes) as T;
}

function defineService(name: string): ServiceDefinition {
  const methods = root.lookupService(name).methodsArray.map((method) => [method.name, defineMethod(name, method)]);
  return Object.fromEntries(methods) as ServiceDefinition;
}

/** The parts of a method that a call needs. `description.ts` has the descriptors of its messages. */
type CallableMethod = Omit<MethodDefinition<object, object>, 'requestType' | 'responseType' | 'options'>;

function defineMethod(service: string, method: protobuf.Method): CallableMethod {
  const [request, response] = [method.resolvedRequestType, method.resolvedResponseType] as [
    protobuf.Type,
    protobuf.Type,
  ];
  return {
    path: `/${service}/${method.name}`,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: (value) => serialize(request, value),
    requestDeserialize: (bytes) => deserialize(request, bytes),
    responseSerialize: (value) => serialize(response, value),
    responseDeserialize: (bytes) => deserialize(response, bytes),
  };
}

function serialize(type: protobuf.Type, value: object): Buffer {
  // protobufjs returns a Buffer in Node.
  return type.encode(type.fromObject(value)).finish() as Buffer;
}

function deserialize(type: protobuf.Type, bytes: Buffer): object {
  return type.toObject(type.decode(bytes), conversion);
}
