/** The reflection service as a client calls it, from the same files that the server serves it from. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';

const folder = join(dirname(createRequire(import.meta.url).resolve('@grpc/reflection')), '../proto');

const serviceOf = (version: string): ServiceDefinition =>
  loadSync(`grpc/reflection/${version}/reflection.proto`, { includeDirs: [folder], oneofs: true })[
    `grpc.reflection.${version}.ServerReflection`
  ] as ServiceDefinition;

export const reflectionService = serviceOf('v1');

/** What tools ask that are older than its first version. */
export const olderReflectionService = serviceOf('v1alpha');
