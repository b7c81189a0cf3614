/** The name of the command in messages depends on how Hone is installed. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { commandName } from '../../../src/command-name.js';
import { temporaryFolder } from '../../support/folders.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});

it('the command is a script of npm in a clone', () => {
  expect(commandName()).toBe('npm run hone --');
  expect(commandName('/home/ann/hone/dist/src/command-name.js')).toBe('npm run hone --');
  expect(commandName('C:\\work\\hone\\dist\\src\\command-name.js')).toBe('npm run hone --');
});

it('the command is npx with the name of the package in a project that has installed it', () => {
  const installed = join(folder, 'node_modules/hone-agent/dist/src/command-name.js');
  const nested = join(folder, 'node_modules/.store/hone-agent@1/node_modules/hone-agent/dist/src/command-name.js');
  expect(commandName(installed)).toBe('hone');
  writeFileSync(join(folder, 'package.json'), '{}');
  expect(commandName(installed)).toBe('npx hone-agent');
  expect(commandName(nested)).toBe('npx hone-agent');
});

it('the command is its name alone if it is installed for the whole machine', () => {
  expect(commandName('/usr/lib/node_modules/hone-agent/dist/src/command-name.js')).toBe('hone');
});
