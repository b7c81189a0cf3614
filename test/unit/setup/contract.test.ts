/** The contract that is compiled in is what the `.proto` files say. */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadSync, type MessageTypeDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { describe, expect, it } from 'vitest';
import { contract, serviceNames } from '../../../proto/contract.js';

const proto = join(dirname(createRequire(import.meta.url).resolve('hone-agent/package.json')), 'proto');
const files = readdirSync(join(proto, 'hone/v1')).map((name) => `hone/v1/${name}`);
const options = { longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [proto] };
const written = loadSync([...files, 'google/rpc/error_details.proto'], options);

type Message = MessageTypeDefinition<object, object>;
const isMessage = (definition: object): definition is Message => 'serialize' in definition;
const isService = (definition: object): definition is ServiceDefinition => !('format' in definition);

/** Two values for every repeated field of numbers: packed or not, that shows in the bytes. */
function repeatedNumbers(message: Message): object {
  const { field } = message.type as { field: { name: string; type: string; label: string }[] };
  const numeric = field.filter(
    ({ label, type }) => label === 'LABEL_REPEATED' && /INT|FLOAT|DOUBLE|BOOL|ENUM/.test(type),
  );
  return Object.fromEntries(numeric.map(({ name, type }) => [name, type === 'TYPE_ENUM' ? [0, 1] : [1, 2]]));
}

/** What tells the methods of a service apart on the wire. */
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

  it('import nothing but each other and what every protoc has', () => {
    expect(paths.length).toBeGreaterThan(10);
    for (const [path, text] of texts) {
      const imported = [...text.matchAll(/^import "(.+)";/gm)].map(([, name = '']) => name);
      for (const name of imported.filter((one) => !one.startsWith('google/protobuf/'))) {
        expect(paths, path).toContain(name);
      }
    }
  });

  it('say which Go package they are, all the same', () => {
    for (const [path, text] of texts) {
      if (path.startsWith('hone')) expect(text, path).toContain('\noption go_package = "hone/v1;honev1";\n');
    }
  });
});

describe('the compiled contract', () => {
  it('has every message, enum and service of the files, field by field', () => {
    expect(Object.keys(contract)).toEqual(expect.arrayContaining(Object.keys(written)));
    for (const [name, definition] of Object.entries(written)) {
      if ('type' in definition) expect(contract[name], name).toMatchObject({ type: definition.type });
    }
  });

  it('has their methods, with the same paths and streams', () => {
    const found = Object.entries(written).filter((entry): entry is [string, ServiceDefinition] => isService(entry[1]));
    expect(found).toHaveLength(serviceNames.length);
    for (const [name, definition] of found) {
      expect(shapeOf(contract[name] as ServiceDefinition), name).toEqual(shapeOf(definition));
    }
  });

  it('writes the same bytes', () => {
    let numbers = 0;
    for (const [name, definition] of Object.entries(written)) {
      if (!isMessage(definition)) continue;
      const value = repeatedNumbers(definition);
      numbers += Object.keys(value).length;
      expect((contract[name] as Message).serialize(value), name).toEqual(definition.serialize(value));
    }
    expect(numbers).toBeGreaterThan(10);
  });
});
