/** The programs in Python and Go on the page about clients only use names of the contract and files of the package. */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ServiceDefinition } from '@grpc/proto-loader';
import { describe, expect, it } from 'vitest';
import { description as contract } from '../../../proto/description.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const page = readFileSync(join(root, 'docs/clients.md'), 'utf8');
const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] };

/** Returns the code blocks of a language in a section. */
function blocks(section: string, language: string): string[] {
  const [, text = ''] = page.split(`\n## ${section}\n`);
  const found = (text.split('\n## ')[0] ?? '').matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'));
  return [...found].map(([, block = '']) => block);
}

const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, name = '']) => name);

interface Field {
  readonly name: string;
}

/** Returns the fields of a message, as the `.proto` files spell them. */
function fieldsOf(message: string): string[] {
  const { field = [] } = (contract[`hone.v1.${message}`] as { type?: { field?: Field[] } } | undefined)?.type ?? {};
  return field.map(({ name }) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

describe('the commands of Python and Go', () => {
  const commands = [...blocks('Python', 'sh'), ...blocks('Go', 'sh')].join('');

  it('generate code from files that are in the package', () => {
    const patterns = all(commands, /"\$PROTO"\/(\S+)/g);
    expect(patterns).toEqual(['hone/v1/*.proto', 'hone/v1/*.proto']);
    expect(all(commands, /-I "\$(\w+)"/g)).toEqual(['PROTO', 'PROTO']);
    expect(readdirSync(join(root, 'proto/hone/v1')).filter((name) => name.endsWith('.proto'))).toHaveLength(10);
    expect(files).toEqual(expect.arrayContaining(['proto/hone', 'proto/google']));
  });
});

describe('the program in Python', () => {
  const [program = ''] = blocks('Python', 'python');

  it('imports modules that the second step makes or the first step installs', () => {
    const made = all(program, /^from hone\.v1 import (.+)$/gm).flatMap((names) => names.split(', '));
    expect(made.length).toBeGreaterThan(2);
    const sources = readdirSync(join(root, 'proto/hone/v1'));
    for (const name of made) expect(sources).toContain(name.replace(/_pb2(_grpc)?$/, '.proto'));
    const google = all(program, /^from google\.rpc import (.+)$/gm).flatMap((names) => names.split(', '));
    for (const name of google)
      expect(readdirSync(join(root, 'proto/google/rpc'))).toContain(name.replace(/_pb2$/, '.proto'));
  });

  it('takes messages, enums and values from the files that define them', () => {
    const used = [...program.matchAll(/\b(\w+)_pb2\.(\w+)/g)].filter(
      ([, file]) => !/status|error_details/.test(file ?? ''),
    );
    expect(used.length).toBeGreaterThan(5);
    for (const [whole, file, name] of used) {
      const text = readFileSync(join(root, `proto/hone/v1/${file}.proto`), 'utf8');
      expect(text, whole).toMatch(new RegExp(`^(message|enum) ${name} \\{|^  ${name} = \\d+;`, 'm'));
    }
    for (const name of all(program, /\b(?:status|error_details)_pb2\.(\w+)/g)) {
      expect(contract).toHaveProperty([`google.rpc.${name}`]);
    }
  });

  it('sets fields that the messages have', () => {
    const made = [...program.matchAll(/_pb2\.([A-Z]\w+)\(([^()]*)\)/g)].filter(([, , given]) => given !== '');
    expect(made.length).toBeGreaterThan(4);
    for (const [whole, message = '', given = ''] of made) {
      for (const name of all(given, /\b(\w+)=/g)) expect(fieldsOf(message), whole).toContain(name);
    }
  });

  it('calls methods that the services of its stubs have', () => {
    const stubs = [...program.matchAll(/^(\w+) = \w+_pb2_grpc\.(\w+)Stub\(/gm)];
    expect(stubs).toHaveLength(2);
    for (const [, variable, service] of stubs) {
      const methods = Object.keys(contract[`hone.v1.${service}`] as ServiceDefinition);
      const called = all(program, new RegExp(`\\b${variable}\\.([A-Z]\\w+)\\(`, 'g'));
      expect(called.length).toBeGreaterThan(0);
      for (const method of called) expect(methods).toContain(method);
    }
  });
});

describe('the program in Go', () => {
  const [program = ''] = blocks('Go', 'go');

  it('names messages, fields and methods that exist', () => {
    for (const name of all(program, /\bhonev1\.New(\w+)Client\(/g))
      expect(contract).toHaveProperty([`hone.v1.${name}`]);
    const messages = all(program, /&honev1\.([A-Z][A-Za-z]+)\{/g);
    expect(messages.length).toBeGreaterThan(2);
    for (const name of messages) expect(contract).toHaveProperty([`hone.v1.${name}`]);
    expect(fieldsOf('FeedbackItem')).toEqual(expect.arrayContaining(['generation_id', 'score']));
    for (const method of all(program, /\.((?:Generate|SubmitFeedback))\(/g)) {
      expect(Object.values(contract).some((one) => Object.keys(one).includes(method))).toBe(true);
    }
  });
});
