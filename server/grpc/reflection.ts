/**
 * Reflection (`grpc.reflection.v1` and `v1alpha`): the description of the services for tools. It is made when the first
 * tool asks, because it takes longer than any other part of the doors and most servers are never asked.
 */

import { EventEmitter } from 'node:events';
import type {
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { HoneError } from '../../src/errors.js';
import { toStatus } from '../errors.js';
import { RefusedRequest } from './checked-decoding.js';

const versions = ['v1', 'v1alpha'] as const;
const method = 'ServerReflectionInfo';

const pathOf = (version: (typeof versions)[number]): string => `/grpc.reflection.${version}.ServerReflection/${method}`;

/** Largest request in bytes. It holds a name, and the answer repeats it. */
const maxReflectionBytes = 4096;

type Bytes = ServerDuplexStream<Buffer, Buffer>;

/** A method of the reflection library, with the functions that read and write its messages. */
interface Answerer {
  readonly definition: MethodDefinition<object, object>;
  readonly handle: (stream: Messages) => void;
}

/** The part of a call's stream that the library uses. */
interface Messages extends EventEmitter {
  write(message: object): void;
  end(): void;
}

/**
 * Adds both versions to a server.
 * @param describe returns the descriptors; called once, at the first call
 * @param services names of the services that are listed
 */
export function addReflection(
  server: Server,
  describe: () => Promise<PackageDefinition>,
  services: readonly string[],
): void {
  let loading: Promise<ReadonlyMap<string, Answerer>> | undefined;
  for (const path of versions.map(pathOf)) {
    server.addService(
      { [method]: passBytes(path) },
      {
        [method]: (stream: Bytes) => {
          loading ??= load(describe, services);
          const fail = (thrown: unknown): void => void stream.emit('error', toStatus(thrown));
          loading.then((answerers) => answer(stream, answerers.get(path), fail)).catch(fail);
        },
      },
    );
  }
}

/** A method whose messages stay bytes. The interceptor ends the call of a request that is too large. */
function passBytes(path: string): MethodDefinition<Buffer | RefusedRequest, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: (bytes) => bytes as Buffer,
    requestDeserialize: (bytes) => (bytes.length <= maxReflectionBytes ? bytes : tooLarge(bytes.length)),
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function tooLarge(bytes: number): RefusedRequest {
  const message = `a request of reflection has up to ${maxReflectionBytes} bytes, not ${bytes}; ask for one name`;
  return new RefusedRequest(new HoneError('INVALID_REQUEST', message));
}

async function load(
  describe: () => Promise<PackageDefinition>,
  services: readonly string[],
): Promise<ReadonlyMap<string, Answerer>> {
  const { ReflectionService } = await import('@grpc/reflection');
  const answerers = new Map<string, Answerer>();
  // The library adds its services to anything with `addService`.
  const collector: Pick<Server, 'addService'> = {
    addService(service: ServiceDefinition, implementation: UntypedServiceImplementation) {
      for (const [name, definition] of Object.entries(service)) {
        const handle = implementation[name] as unknown as Answerer['handle'];
        answerers.set(definition.path, { definition, handle });
      }
    },
  };
  new ReflectionService(await describe(), { services: [...services] }).addToServer(collector as Server);
  return answerers;
}

function answer(stream: Bytes, answerer: Answerer | undefined, fail: (thrown: unknown) => void): void {
  if (answerer === undefined) throw new HoneError('INTERNAL', 'the reflection library lacks this version');
  const { definition, handle } = answerer;
  const messages: Messages = Object.assign(new EventEmitter(), {
    // The next request waits until this answer is sent, because each answer may hold all the descriptors.
    write: (message: object) => {
      stream.pause();
      stream.write(definition.responseSerialize(message), () => stream.resume());
    },
    end: () => void stream.end(),
  });
  handle(messages);
  // No `for await` here: leaving its loop destroys the stream before the error is sent.
  stream.on('data', (bytes: Buffer) => {
    if (stream.writableEnded) return;
    try {
      messages.emit('data', read(definition, bytes));
    } catch (thrown) {
      fail(thrown);
    }
  });
  stream.on('end', () => messages.emit('end'));
}

function read({ requestDeserialize }: Answerer['definition'], bytes: Buffer): object {
  try {
    return requestDeserialize(bytes);
  } catch {
    throw new HoneError('INVALID_REQUEST', "the request's bytes are not a message of grpc.reflection");
  }
}
