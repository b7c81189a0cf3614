/** Links, files, npm scripts, commands with their flags, settings and constants in the documents exist. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as clientLibrary from '../../../client/index.js';
import { checkGateSettings } from '../../../src/gate/index.js';
import { checkLearnerSettings } from '../../../src/learner/index.js';
import { checkRewardSettings } from '../../../src/reward/index.js';
import { deadLinks } from '../../support/markdown.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.md'),
);
const paths = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...pages.map((name) => `docs/${name}`),
  'bench/README.md',
  'studies/README.md',
  'models/README.md',
  'models/tldr/README.md',
  'models/tldr-reward/README.md',
  'test/README.md',
  'test/oracles/README.md',
  'examples/README.md',
  'src/learner/README.md',
  'src/policy/README.md',
  'src/learner/README.md',
];
const documents = paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

/** Returns the code of a page, inline or in blocks, one entry per span or line. */
function codeOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) => block.split('\n'));
  const prose = text.replace(/^```[\s\S]*?^```/gm, '');
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return [...blocks.map((line) => line.replace(/ # .*| {2,}\S.*/, '')), ...spans];
}

/** Returns the help of a program. */
function helpOf(program: string, ...command: string[]): string {
  const file = fileURLToPath(new URL(`../../../${program}`, import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [file, ...command, '--help'], { encoding: 'utf8' });
  expect(status, `${program} ${command.join(' ')} --help`).toBe(0);
  return stdout;
}

const flagsIn = (text: string): string[] => text.match(/--[a-z][a-z-]*/g) ?? [];

const hone = 'cli/main.js';
const [, listOfCommands = ''] = /\nCommands:\n([\s\S]*?)\n\n/.exec(helpOf(hone)) ?? [];
const commands = [...listOfCommands.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name = '']) => name);
const helps = new Map<string, string[]>();
function flagsOfHone(command: string): string[] {
  const known = helps.get(command) ?? flagsIn(helpOf(hone, command));
  helps.set(command, known);
  return known;
}

/** Returns the flags of a bench or a study: those that all have, and its own. */
function flagsOfProgram(program: 'bench' | 'study'): string[] {
  const [file, command] =
    program === 'bench' ? (['bench/main.js', 'decode'] as const) : (['studies/main.js', 'online'] as const);
  const known = helps.get(program) ?? flagsIn(helpOf(file, command));
  helps.set(program, known);
  return known;
}

/** Returns the rows of all tables, as cells. */
function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\|(.+)\|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
}

const page = (name: string): string => documents.find(({ path }) => path === `docs/${name}`)?.text ?? '';
const unquoted = (cell = ''): string => cell.replaceAll('`', '');

describe.each(documents)('$path', ({ path, text }) => {
  it('links to files and headings that exist', () => {
    const read = (linked: string): string => readFileSync(join(root, linked), 'utf8');
    expect(deadLinks(path, read, (linked) => existsSync(join(root, linked)))).toEqual([]);
  });

  it('names files that exist', () => {
    const folders = /^(src|server|client|cli|proto|models|test|bench|studies|examples|docs|scripts)\/[\w./-]+$/;
    for (const name of codeOf(text).filter((span) => folders.test(span))) {
      expect(existsSync(join(root, name)), name).toBe(true);
    }
  });

  it('names npm scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    for (const code of codeOf(text)) {
      for (const [, name = ''] of code.matchAll(
        /\bnpm (?:run (?:--silent )?)?(start|test|(?<=run |--silent )[a-z][\w:-]*)/g,
      )) {
        expect(Object.keys(scripts), code).toContain(name);
      }
    }
  });

  it('names hone commands that exist, with flags that they have', () => {
    for (const code of codeOf(text)) {
      const [, started, run, named] =
        /^(?:(npm start(?: --)?)|npm run (demo|bench|study)(?: --)?|(?:npm run hone -- |npx hone-agent |hone )([a-z][a-z-]*))(?= |$)/.exec(
          code,
        ) ?? [];
      const command = started === undefined ? (run ?? named) : 'serve';
      if (command === undefined) continue;
      const isHone = command !== 'bench' && command !== 'study';
      if (isHone) expect(commands, code).toContain(command);
      const known = isHone ? flagsOfHone(command) : flagsOfProgram(command);
      for (const flag of code.match(/(?<= )--[a-z][a-z-]*/g) ?? []) expect(known, code).toContain(flag);
    }
  });
});

it('no page and no message tells users to run `npx hone`, which is another package on npm', () => {
  const folders = [
    'client',
    'cli',
    'server',
    'src',
    'proto',
    'models',
    'bench',
    'studies',
    'examples',
    'docs',
    'scripts',
  ];
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const texts = ['README.md', ...files].filter(
    (name) => !name.includes('node_modules') && /\.(ts|mjs|cjs|md|proto)$/.test(name),
  );
  expect(texts.length).toBeGreaterThan(300);
  for (const name of texts) expect(readFileSync(join(root, name), 'utf8'), name).not.toMatch(/npx hone [a-z<-]/);
});

it('each flag that the pages name outside of a command belongs to a command', () => {
  const known = commands.flatMap((name) => (name === 'help' ? [] : flagsOfHone(name)));
  for (const { path, text } of documents.filter(
    (one) => one.path !== 'bench/README.md' && one.path !== 'studies/README.md',
  )) {
    for (const span of codeOf(text).filter((one) => one.startsWith('--'))) {
      expect(known, `${path}: ${span}`).toContain(span.split(' ')[0]);
    }
  }
});

it('the page on serving lists every flag of hone serve', () => {
  const [, section = ''] = page('serving.md').split('## Flags of `hone serve`');
  const listed = rowsOf(section).flatMap(([flags = '']) => flagsIn(flags));
  expect([...new Set(listed), '--help'].sort()).toEqual([...new Set(flagsOfHone('serve'))].sort());
});

it('the page on serving describes the output of --json for every command that has it', () => {
  const [, section = ''] = page('serving.md').split('## At a terminal and in scripts');
  const [table = ''] = section.split('\n## ');
  const listed = rowsOf(table).flatMap(([names = '']) =>
    [...names.matchAll(/`([a-z-]+)[a-z ]*`/g)].map(([, name]) => name),
  );
  const those = commands.filter((name) => name !== 'help' && flagsOfHone(name).includes('--json'));
  expect([...new Set(listed)].sort()).toEqual(those.sort());
});

it('the page on learning lists every setting with its default and its flag', () => {
  const rows = rowsOf(page('learning.md')).filter(([name]) => /^`[a-zA-Z0-9]+`$/.test(name ?? ''));
  const listed = rows.map(([name, value]) => [unquoted(name), value]);
  const defaults = Object.entries(checkLearnerSettings()).map(([name, value]) => [name, String(value)]);
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(defaults));
  for (const [, , flag = ''] of rows) if (flag !== '') expect(flagsOfHone('serve')).toContain(unquoted(flag));
});

it('the page on the gate lists every setting with its default', () => {
  const rows = rowsOf(page('gate.md')).filter(([name]) => /^`[a-zA-Z_.]+`$/.test(name ?? ''));
  const listed = rows.map(([name, value]) => [unquoted(name), value]);
  const flat = (settings: object, prefix = ''): [string, string][] =>
    Object.entries(settings).flatMap(([name, value]) =>
      typeof value === 'object' ? flat(value, `${prefix}${name}.`) : [[`${prefix}${name}`, String(value)]],
    );
  expect(listed).toEqual(flat(checkGateSettings()));
});

it('the examples of reward settings are valid', () => {
  const examples = [...page('feedback.md').matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = '']) => json);
  expect(examples.length).toBeGreaterThan(2);
  const named = examples.map((json) => Object.keys(checkRewardSettings(JSON.parse(json)).metrics).length);
  expect(Math.min(...named)).toBeGreaterThan(0);
  expect(Math.max(...named)).toBeGreaterThan(2);
});

it('the page on architecture gives every constant its value in the code', () => {
  const rows = rowsOf(page('architecture.md').split('## Constants')[1]?.split('\n## ')[0] ?? '').slice(2);
  expect(rows.length).toBeGreaterThan(10);
  for (const [name = '', value = '', file = ''] of rows) {
    const lines = readFileSync(join(root, unquoted(file)), 'utf8')
      .replaceAll(/(?<=\d)_(?=\d)/g, '')
      .split('\n');
    const literal = new RegExp(`${unquoted(name).replaceAll('.', '\\.')}\\b.*[^\\d]${value.replaceAll('*', '\\*')}\\b`);
    expect(
      lines.some((line) => literal.test(line)),
      `${name} ${value} in ${file}`,
    ).toBe(true);
  }
});

it('the example of the client calls methods that exist', () => {
  const example = /```ts\n([\s\S]*?)```/.exec(documents[0]?.text ?? '')?.[1] ?? '';
  const [, imported = ''] = /import \{ (.+) \} from 'hone-agent\/client'/.exec(example) ?? [];
  for (const name of imported.split(', ')) expect(clientLibrary).toHaveProperty(name);
  const methods = [...(documents[0]?.text ?? '').matchAll(/\bhone\.([a-zA-Z]+)\(/g)].map(([, name = '']) => name);
  expect(methods.length).toBeGreaterThan(4);
  for (const name of methods) expect(clientLibrary.HoneClient.prototype).toHaveProperty(name);
});
