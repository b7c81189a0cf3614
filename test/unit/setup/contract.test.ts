/** The compiled contract agrees with the `.proto` files. */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type MessageTypeDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { service as writtenHealth } from 'grpc-health-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
  healthService,
  serviceDefinition,
  serviceNames,
} from '../../../proto/contract.js';
import { description } from '../../../proto/description.js';

const proto = join(dirname(createRequire(import.meta.url).resolve('hone-agent/package.json')), 'proto');
const files = readdirSync(join(proto, 'hone/v1')).map((name) => `hone/v1/${name}`);
const options = { longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [proto] };
const written = loadSync([...files, 'google/rpc/error_details.proto'], options);

type Message = MessageTypeDefinition<object, object>;
const isMessage = (definition: object): definition is Message => 'serialize' in definition;
const isService = (definition: object): definition is ServiceDefinition => !('format' in definition);

/** Sets two values in every repeated field of numbers, so that the bytes show whether it is packed. */
function repeatedNumbers(message: Message): object {
  const { field } = message.type as { field: { name: string; type: string; label: string }[] };
  const numeric = field.filter(
    ({ label, type }) => label === 'LABEL_REPEATED' && /INT|FLOAT|DOUBLE|BOOL|ENUM/.test(type),
  );
  return Object.fromEntries(numeric.map(({ name, type }) => [name, type === 'TYPE_ENUM' ? [0, 1] : [1, 2]]));
}

/** Sets a value in every single field of a scalar or an enum, so that the bytes show each of them. */
function sampleOf({ type }: Message): object {
  const { field } = type as { field: { name: string; type: string; label: string }[] };
  const single = field.filter(({ label, type: kind }) => label !== 'LABEL_REPEATED' && kind !== 'TYPE_MESSAGE');
  const values: Readonly<Record<string, unknown>> = { TYPE_STRING: 'ä', TYPE_BYTES: Buffer.of(1, 2), TYPE_BOOL: true };
  return Object.fromEntries(single.map(({ name, type: kind }) => [name, values[kind] ?? 1])) as object;
}

/** The properties of a method that matter on the wire. */
function shapeOf(service: ServiceDefinition): object {
  const methods = Object.entries(service).map(([name, method]) => {
    const { path, requestStream, responseStream, requestType, responseType } = method;
    const types = [requestType, responseType].map((message) => (message as Message).type);
    return [name, { path, requestStream, responseStream, types }];
  });
  return Object.fromEntries(methods) as object;
}

describe('the files of the contract', () => {
  const paths = readdirSync(proto, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.proto'));
  const texts = new Map(paths.map((path) => [path, readFileSync(join(proto, path), 'utf8')]));

  it('only import each other and the files that come with protoc', () => {
    expect(paths.length).toBeGreaterThan(10);
    for (const [path, text] of texts) {
      const imported = [...text.matchAll(/^import "(.+)";/gm)].map(([, name = '']) => name);
      for (const name of imported.filter((one) => !one.startsWith('google/protobuf/'))) {
        expect(paths, path).toContain(name);
      }
    }
  });

  it('all name the same Go package', () => {
    for (const [path, text] of texts) {
      if (path.startsWith('hone')) expect(text, path).toContain('\noption go_package = "hone/v1;honev1";\n');
    }
  });
});

describe('the compiled contract', () => {
  it('has every message, enum and service of the files, with the same fields', () => {
    expect(Object.keys(description)).toEqual(expect.arrayContaining(Object.keys(written)));
    for (const [name, definition] of Object.entries(written)) {
      if ('type' in definition) expect(description[name], name).toMatchObject({ type: definition.type });
    }
  });

  it('has the methods of the services, with the same paths and streams', () => {
    const found = Object.entries(written).filter((entry): entry is [string, ServiceDefinition] => isService(entry[1]));
    expect(found).toHaveLength(serviceNames.length);
    for (const [name, definition] of found) {
      expect(shapeOf(description[name] as ServiceDefinition), name).toEqual(shapeOf(definition));
    }
  });

  it('gives the client and the health check the same paths and messages', () => {
    const ours = [...serviceNames.map((name) => serviceDefinition(name)), healthService];
    const theirs = [...serviceNames.map((name) => written[`hone.v1.${name}`]), writtenHealth] as ServiceDefinition[];
    for (const [i, service] of ours.entries()) {
      for (const [name, method] of Object.entries(service)) {
        const expected = Object.values(theirs[i] ?? {}).find(({ path }) => path === method.path);
        if (expected === undefined) throw new Error(`the files have no ${name} at ${method.path}`);
        const { requestStream, responseStream } = expected;
        expect(method).toMatchObject({ requestStream, responseStream });
        const [asked, answered] = [expected.requestType, expected.responseType].map((type) =>
          sampleOf(type as Message),
        );
        const requestBytes = expected.requestSerialize(asked as object);
        const responseBytes = expected.responseSerialize(answered as object);
        expect(method.requestSerialize(asked as object), name).toEqual(requestBytes);
        expect(method.responseSerialize(answered as object), name).toEqual(responseBytes);
        if (service === healthService) continue;
        expect(method.requestDeserialize(requestBytes), name).toEqual(expected.requestDeserialize(requestBytes));
        expect(method.responseDeserialize(responseBytes), name).toEqual(expected.responseDeserialize(responseBytes));
      }
      expect(Object.keys(service)).toHaveLength(Object.keys(theirs[i] ?? {}).length);
    }
  });

  it('encodes a message as the same bytes, and decodes them to the same message', () => {
    let numbers = 0;
    for (const [name, definition] of Object.entries(written)) {
      if (!isMessage(definition)) continue;
      const value = repeatedNumbers(definition);
      numbers += Object.keys(value).length;
      expect(encodeMessage(name, value), name).toEqual(definition.serialize(value));
      for (const sample of [{}, { ...sampleOf(definition), ...value }]) {
        const bytes = definition.serialize(sample);
        expect(decodeMessage(name, bytes), name).toEqual(definition.deserialize(bytes));
      }
    }
    expect(numbers).toBeGreaterThan(10);
  });
});
