/** The reflection service as a client calls it, from the same files that the server serves it from. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';

const folder = join(dirname(createRequire(import.meta.url).resolve('@grpc/reflection')), '../proto');
const name = 'grpc/reflection/v1/reflection.proto';

export const reflectionService = loadSync(name, { includeDirs: [folder], oneofs: true })[
  'grpc.reflection.v1.ServerReflection'
] as ServiceDefinition;
