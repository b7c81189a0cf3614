/** What messages tell a person to type. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { commandName } from '../../../proto/command-name.js';
import { temporaryFolder } from '../../support/folders.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});

it('in a clone it is a script of npm', () => {
  expect(commandName()).toBe('npm run hone --');
  expect(commandName('/home/ann/hone/dist/proto/command-name.js')).toBe('npm run hone --');
  expect(commandName('C:\\work\\hone\\dist\\proto\\command-name.js')).toBe('npm run hone --');
});

it('in a project that has installed the package it is npx with the name of the package', () => {
  const installed = join(folder, 'node_modules/hone-agent/dist/proto/command-name.js');
  const nested = join(folder, 'node_modules/.store/hone-agent@1/node_modules/hone-agent/dist/proto/command-name.js');
  expect(commandName(installed)).toBe('hone');
  writeFileSync(join(folder, 'package.json'), '{}');
  expect(commandName(installed)).toBe('npx hone-agent');
  expect(commandName(nested)).toBe('npx hone-agent');
});

it('where it is installed for the whole machine it is the command alone', () => {
  expect(commandName('/usr/lib/node_modules/hone-agent/dist/proto/command-name.js')).toBe('hone');
});
