/** Every enum of the contract has short names, in both directions. */

import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type EnumTypeDefinition, loadSync } from '@grpc/proto-loader';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { type EnumNames, enumNames } from '../../../proto/enum-names.js';

const proto = join(dirname(createRequire(import.meta.url).resolve('hone-agent/package.json')), 'proto');
const files = readdirSync(join(proto, 'hone/v1')).map((name) => `hone/v1/${name}`);
const definitions = Object.entries(loadSync(files, { includeDirs: [proto] }));

/** The values of every enum, as the files of the contract say. */
const valuesByEnum = new Map(
  definitions.flatMap(([name, { format, type }]) => {
    if (format !== 'Protocol Buffer 3 EnumDescriptorProto') return [];
    const { value } = type as EnumTypeDefinition['type'] & { readonly value: readonly { readonly name: string }[] };
    return [[name.replace('hone.v1.', ''), value.map((one) => one.name)] as const];
  }),
);
const tables: Readonly<Record<string, EnumNames<string>>> = enumNames;

it('there is a table for every enum of the contract, and for nothing else', () => {
  expect(valuesByEnum.size).toBeGreaterThan(15);
  expect(Object.keys(tables).sort()).toEqual([...valuesByEnum.keys()].sort());
});

describe.each([...valuesByEnum])('the table of %s', (name, [unspecified = '', ...values]) => {
  const table = tables[name] as EnumNames<string>;
  const prefix = unspecified.replace(/UNSPECIFIED$/, '');

  it('names each value after it, in lower case, and finds the value by its name', () => {
    expect(table.names).toEqual(values.map((value) => value.slice(prefix.length).toLowerCase()));
    for (const [i, value] of values.entries()) {
      expect(value.startsWith(prefix)).toBe(true);
      const short = table.names[i] as never;
      expect(table.toName(value)).toBe(short);
      expect(table.toValue(short)).toBe(value);
      expect(table.isName(short)).toBe(true);
    }
  });

  it('has no name for the unspecified value and for values of other releases', () => {
    expect(unspecified).toBe(`${prefix}UNSPECIFIED`);
    for (const value of [unspecified, 0, 99, `${prefix}TOMORROW`]) expect(table.toName(value)).toBeUndefined();
    for (const text of ['unspecified', 'tomorrow', '', values[0] ?? '']) expect(table.isName(text)).toBe(false);
  });
});

it('the names are known to the compiler', () => {
  expectTypeOf(enumNames.Mode.names).toEqualTypeOf<readonly ('apprentice' | 'shadow' | 'canary' | 'auto')[]>();
  expectTypeOf(enumNames.LateScores.toValue).parameter(0).toEqualTypeOf<'use' | 'ignore'>();
});
