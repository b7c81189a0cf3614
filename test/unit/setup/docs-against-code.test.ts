/** The ranges, defaults and names in the documents agree with the code. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { exitCodes } from '../../../cli/failure.js';
import { description as contract } from '../../../proto/description.js';
import { type ServerFlag, serverFlags } from '../../../server/flag-table.js';
import { parseSize } from '../../../server/flag-values.js';
import { defaultMetricsPort, readOptions, warningCodes } from '../../../server/options.js';
import { configurationExitCode } from '../../../server/parent-process.js';
import {
  checkCanarySettings,
  checkGenerate,
  encodeRequest,
  type GenerateInput,
  modes,
} from '../../../src/agent/index.js';
import { errorCodes } from '../../../src/errors.js';
import { checkLearnerSettings } from '../../../src/learner/index.js';
import { encodeAtOnce } from '../../../src/package/index.js';
import type { Package } from '../../../src/package/types.js';
import { checkPolicyOptions, type PolicyOptions } from '../../../src/policy/options.js';
import { checkRewardSettings } from '../../../src/reward/index.js';
import { defaultKeepVersions } from '../../../src/versions/retention.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md'],
  ...['test', 'bench', 'studies', 'examples', 'src/policy', 'src/learner'].map((folder) => `${folder}/README.md`),
  ...listOf('docs', '.md'),
  ...listOf('docs/decisions', '.md'),
];

function listOf(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);
}

/** Returns the part of a page below a heading, up to the next heading of the same level. */
function section(path: string, heading: string): string {
  const [, below] = read(path).split(`\n${heading}\n`);
  expect(below, `${heading} in ${path}`).toBeDefined();
  return (below as string).split(new RegExp(`\n${heading.split(' ')[0]} `))[0] as string;
}

/** Returns the cells of the rows of all tables. */
function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\|(.+)\|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
}

const spansOf = (text: string): string[] => [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

describe('the flags of hone serve', () => {
  const options = readOptions([], {});
  const policy = checkPolicyOptions({} as PolicyOptions);
  /** The defaults in the code that are numbers or words. */
  const inCode: Readonly<Record<string, unknown>> = {
    host: options?.host,
    port: options?.port,
    learner: options?.learner === true ? 'on' : 'off',
    'kv-memory': policy.kvMemoryBytes,
    'max-sequences': policy.maxSequences,
    'max-queue': policy.maxQueue,
    'max-queue-tokens': policy.maxQueueTokens,
    'prefill-chunk': policy.prefillChunk,
    'prefix-cache': policy.prefixCacheBytes,
    'max-stalled-ms': policy.maxStalledMs,
    'max-live-versions': policy.maxLiveVersions,
    'max-replay-bytes': options?.retention.maxBytes,
    'keep-versions': defaultKeepVersions,
    'metrics-host': options?.metrics?.host,
    'metrics-port': defaultMetricsPort,
    'max-open-requests': options?.maxOpenRequests,
    'max-connections': options?.maxConnections,
    'keepalive-ms': options?.keepaliveMs,
    'drain-grace-ms': options?.drainGraceMs,
    'log-level': options?.logLevel,
    'canary-share': checkCanarySettings().share,
    explore: options?.exploration.share,
    'explore-completions': options?.exploration.completions,
    'learner-engine': checkLearnerSettings().engine,
    'learner-device': checkLearnerSettings().device,
    gate: options?.gate === null ? 'off' : 'on',
  };
  const listed = new Map(
    rowsOf(section('docs/serving.md', '## Flags of `hone serve`')).flatMap(([names = '', value = '']) =>
      spansOf(names).map((name) => [name.replace(/^--/, ''), value.replaceAll('`', '')] as const),
    ),
  );
  const flags = new Map((serverFlags as readonly ServerFlag[]).map((flag) => [flag.name, flag]));

  it.each(Object.entries(inCode))('--%s has the default that the help and the page name', (name, value) => {
    const says = (text = ''): unknown => {
      const [first = ''] = text.split(/[;,:] ?/);
      if (typeof value !== 'number') return first;
      return /[a-z]/i.test(first) ? parseSize(first) : Number(first);
    };
    expect(says(flags.get(name)?.default), 'in the help').toBe(value);
    expect(says(listed.get(name)), 'on the page').toBe(value);
  });

  it('offer the modes that the code has', () => {
    expect(flags.get('mode')?.value?.split('|').sort()).toEqual([...modes].sort());
  });
});

it('the page on rollout lists the settings of trials with their defaults', () => {
  const rows = rowsOf(section('docs/rollout.md', '### Settings')).filter(([name]) => /^`\w+`$/.test(name ?? ''));
  const listed = rows.map(([name = '', value = '']) => [name.replaceAll('`', ''), Number.parseFloat(value)]);
  expect(Object.fromEntries(listed)).toEqual(checkCanarySettings());
});

it('the page on feedback lists the settings of rewards with their defaults', () => {
  const rows = rowsOf(section('docs/feedback.md', '## From scores to a reward'));
  const listed = (prefix: string) =>
    rows.flatMap(([name = '', value = '']) => {
      const setting = name.replaceAll('`', '');
      return setting.startsWith(prefix) ? [[setting.slice(prefix.length), value.replaceAll('`', '')]] : [];
    });
  const { defaultMetric, defaultTrust } = checkRewardSettings();
  const inCode = Object.entries(defaultMetric).map(([name, value]) => [name, String(value)]);
  expect(Object.fromEntries(listed('metrics.<name>.'))).toEqual(Object.fromEntries(inCode));
  expect(listed('defaultTrust')).toEqual([['', String(defaultTrust)]]);
});

describe('a generation request', () => {
  const pkg = {
    digest: '',
    config: { contextLength: 2 ** 20, vocabularySize: 8 },
    tokenizer: { encodeText: () => [1] },
  } as unknown as Package;
  const storeOutage = { keepsAnswers: true };
  const parts = { pkg, encoding: encodeAtOnce(pkg.tokenizer), randomSeed: () => 0, storeOutage };
  const check = async (input: GenerateInput) => encodeRequest(checkGenerate({ prompt: 'a', ...input }), parts);
  const [own, sampling] = section('docs/serving.md', '## Requests').split('`sampling` says');
  const cases = [own, sampling].flatMap((text, isSampling) =>
    rowsOf(text ?? '').flatMap(([name = '', range = '', value = '']) => {
      const field = camel(name.replaceAll('`', ''));
      const [, low, below, high] = /^(-?\d+)(?: \(\w+\))? to (below )?(-?\d+)/.exec(range) ?? [];
      const [, above, upTo] = /^above (\d+), up to (\d+)/.exec(range) ?? [];
      const [, from] = /^(\d+) or more/.exec(range) ?? [];
      const good = [low, below ? undefined : high, upTo, from].filter((one) => one !== undefined).map(Number);
      const tiny = field === 'n' || field === 'seed' || field === 'topLogprobs' ? 1 : 0.001;
      const bad = [
        ...[low, from].flatMap((one) => (one === undefined ? [] : [Number(one) - tiny])),
        ...[high, upTo].flatMap((one) => (one === undefined ? [] : [Number(one) + (below ? 0 : tiny)])),
        ...(above === undefined ? [] : [Number(above)]),
      ];
      return bad.length === 0
        ? []
        : [{ field, isSampling: isSampling === 1, good, bad, value: Number.parseFloat(value) }];
    }),
  );

  it.each(cases)(
    'takes $field within the range on the page and refuses it beyond',
    async ({ field, isSampling, good, bad }) => {
      const given = (number: number): GenerateInput => {
        const value = field === 'logitBias' ? { 1: number } : number;
        const more = field === 'topLogprobs' ? { logprobs: true } : {};
        return (isSampling ? { sampling: { [field]: value } } : { [field]: value, ...more }) as GenerateInput;
      };
      for (const number of good) await expect(check(given(number)), String(number)).resolves.toBeDefined();
      for (const number of bad) await expect(check(given(number)), String(number)).rejects.toThrow();
    },
  );

  it('has the defaults on the page', async () => {
    expect(cases.length).toBeGreaterThan(10);
    const { sampling: checked, ...request } = await check({});
    for (const { field, isSampling, value } of cases.filter((one) => !Number.isNaN(one.value))) {
      expect((isSampling ? checked : request)[field as keyof object], field).toBe(value);
    }
  });
});

it('the page on serving lists every method of every service', () => {
  const listed = rowsOf(read('docs/serving.md')).flatMap(([service = '', methods = '']) =>
    /^`\w+Service`$/.test(service) ? [[service.replaceAll('`', ''), spansOf(methods).sort()]] : [],
  );
  const inContract = Object.entries(contract)
    .filter(([name]) => /^hone\.v1\.\w+Service$/.test(name))
    .map(([name, service]) => [name.replace('hone.v1.', ''), Object.keys(service).sort()]);
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(inContract));
});

it('the page on errors lists every exit code', () => {
  const listed = rowsOf(section('docs/errors.md', '## Exit codes of `hone`')).slice(2);
  const codes = [...Object.values(exitCodes), configurationExitCode];
  expect(listed.map(([code]) => Number(code)).sort()).toEqual([...codes].sort());
});

/** The short values of the contract's enums, by enum: `VersionState` has `candidate`. */
const enums = new Map<string, string[]>();
const loaded = new protobuf.Root();
loaded.resolvePath = (_, target) => join(root, 'proto', target);
loaded.loadSync(listOf('proto/hone/v1', '.proto').map((path) => path.replace('proto/', '')));
function collect(object: protobuf.ReflectionObject): void {
  if (object instanceof protobuf.Enum) {
    const prefix = `${object.name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}_`;
    enums.set(
      object.name,
      Object.keys(object.values)
        .map((name) => name.replace(prefix, '').toLowerCase())
        .slice(1),
    );
  }
  if (object instanceof protobuf.Namespace) for (const one of object.nestedArray) collect(one);
}
collect(loaded);

it('the page on versions lists every state and every origin', () => {
  const [states, origins] = section('docs/versions.md', '## States and origins').split('| origin |');
  const first = (text = ''): string[] =>
    rowsOf(text).flatMap(([name = '']) => (/^[a-z]+$/.test(name) && name !== 'state' ? [name] : []));
  expect(first(states).sort()).toEqual(enums.get('VersionState')?.sort());
  expect(first(origins).sort()).toEqual(enums.get('VersionOrigin')?.sort());
});

it('each name in capitals is a code, a status, a value of the contract or an environment variable', () => {
  const known = new Set([
    ...Object.keys(errorCodes),
    ...Object.keys(status),
    ...warningCodes,
    ...[...enums.values()].flat().map((name) => name.toUpperCase()),
  ]);
  const sources = ['client', 'cli', 'server', 'src', 'bench', 'studies'].map((folder) => textOf(folder)).join('\n');
  // These belong to other programs.
  const foreign = new Set([
    ...['TMPDIR', 'LD_LIBRARY_PATH', 'GLIBC_TUNABLES', 'SELECT', 'VACUUM'],
    ...['HTTPS_PROXY', 'NODE_USE_ENV_PROXY'],
  ]);
  for (const path of pages) {
    const page = read(path);
    for (const name of spansOf(page).filter((span) => /^[A-Z][A-Z_]{3,}$/.test(span))) {
      // A command on the page sets this variable itself.
      if (page.includes(`"$${name}"`)) continue;
      const isRead = new RegExp(`\\benv(ironment)?\\.${name}\\b`).test(sources);
      expect(known.has(name) || foreign.has(name) || isRead, `${name} in ${path}`).toBe(true);
    }
  }
});

function textOf(folder: string): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => read(`${folder}/${name}`))
    .join('\n');
}

it('each event that the pages name is an event of the contract', () => {
  const events = new Set(enums.get('EventType'));
  for (const path of pages) {
    for (const [, name = ''] of read(path).matchAll(/\bevents? (?:\()?`([A-Za-z_]+)`/g)) {
      expect(events, `${name} in ${path}`).toContain(name.toLowerCase());
    }
  }
});

it('the page on the replay store lists every table of the store', () => {
  const source = read('src/replay/upgrades.ts');
  const made = new Set([...source.matchAll(/CREATE TABLE (\w+)/g)].map(([, name]) => name));
  const listed = rowsOf(section('docs/replay.md', '## The tables'))
    .slice(2)
    .flatMap(([name = '']) => spansOf(name));
  expect(listed.sort()).toEqual([...made].sort());
});

it('the README gives the number of scores that start a round, and names every folder', () => {
  const [, count] = /After (\d+) newly scored completions/.exec(read('README.md')) ?? [];
  expect(Number(count)).toBe(checkLearnerSettings().scoresPerRound);
  const listed = rowsOf(section('README.md', '## The tree'))
    .slice(2)
    .map(([name = '']) => /`([\w/]+)\/`/.exec(name)?.[1]);
  const folders = (of: string): string[] =>
    readdirSync(join(root, of), { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [join(of, entry.name)] : [],
    );
  const outer = [
    'proto',
    'server',
    'client',
    'cli',
    'models',
    'bench',
    'studies',
    'examples',
    'test',
    'docs',
    'scripts',
  ];
  expect(listed.sort()).toEqual([...outer, ...folders('src')].sort());
});

describe.each(['test/README.md', 'bench/README.md', 'studies/README.md'])('%s', (path) => {
  const folder = dirname(path);
  const named = spansOf(read(path)).filter((span) => /^[\w./-]+\.(test\.ts|ts|mjs|py|svg|json)$/.test(span));

  it('only names files that exist, in its own folder or from the root', () => {
    expect(named.length).toBeGreaterThan(10);
    for (const name of named)
      expect(existsSync(join(root, folder, name)) || existsSync(join(root, name)), name).toBe(true);
  });

  it('names every file that it describes', () => {
    const of: Readonly<Record<string, readonly string[]>> = {
      test: listOf('test/fault', '.test.ts'),
      bench: ['bench', 'bench/lib'].flatMap((one) => listOf(one, '.ts')),
      studies: ['bandit', 'cells', 'online', 'tldr'].flatMap((one) => listOf(`studies/${one}`, '.ts')),
    };
    const about = of[folder] ?? [];
    expect(about.length).toBeGreaterThan(5);
    const missing = about.map((name) => name.slice(folder.length + 1)).filter((name) => !named.includes(name));
    expect(missing).toEqual([]);
  });
});

it.each(['src/policy', 'src/learner', 'examples'])('the README of %s names files that lie in it', (folder) => {
  const files = (readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }) as string[]).map(
    (path) => `/${path.replaceAll('\\', '/')}`,
  );
  const named = spansOf(read(`${folder}/README.md`)).filter((span) => /^[\w./-]+\.ts$/.test(span));
  expect(named.length).toBeGreaterThan(4);
  for (const name of named) {
    expect(existsSync(join(root, name)) || files.some((path) => path.endsWith(`/${name}`)), name).toBe(true);
  }
});

it('the page on architecture draws the arrows that the lint allows', async () => {
  const { arrows } = (await import(pathToFileURL(join(root, 'scripts/arrows.mjs')).href)) as {
    readonly arrows: Readonly<Record<string, readonly string[]>>;
  };
  const rows = rowsOf(section('docs/architecture.md', '## Folders and arrows')).slice(2);
  const drawn = rows.flatMap(([folders = '', imports = '']) =>
    spansOf(folders).map((folder) => [folder, imports === 'all of the above' ? ['src'] : spansOf(imports)] as const),
  );
  // The page writes rooms of src without the folder, and the files beside them, which all may import, not at all.
  const inShort = (to: string): string[] => (to === 'src' ? [] : [to.replace('src/*', 'src').replace('src/', '')]);
  const { src: _, test: __, ...rooms } = arrows;
  const allowed = Object.entries(rooms).map(([from, to]) => [from, to.flatMap(inShort).sort()]);
  const found = drawn.map(([from, to]) => [from, [...to].sort()]);
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(allowed));
});
