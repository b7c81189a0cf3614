/** The definition of the reflection service for a client, from the same files as the server's. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';

const folder = join(dirname(createRequire(import.meta.url).resolve('@grpc/reflection')), '../proto');

const serviceOf = (version: string): ServiceDefinition =>
  loadSync(`grpc/reflection/${version}/reflection.proto`, { includeDirs: [folder], oneofs: true })[
    `grpc.reflection.${version}.ServerReflection`
  ] as ServiceDefinition;

export const reflectionService = serviceOf('v1');

/** The older definition that some tools still use. */
export const olderReflectionService = serviceOf('v1alpha');
