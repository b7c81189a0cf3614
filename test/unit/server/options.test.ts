import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { serverFlags } from '../../../server/flag-table.js';
import { readOptions } from '../../../server/options.js';
import { usage } from '../../../server/read-flags.js';
import { checkGateSettings } from '../../../src/gate/index.js';
import { temporaryFolder } from '../../support/folders.js';

it('without flags the server listens on loopback, learns, and serves Hone\u2019s own package', () => {
  const options = readOptions([], {});
  expect(options).toMatchObject({ host: '127.0.0.1', port: 50051, learner: true, warnings: [] });
  expect(options?.packageDirectory).toMatch(/models\/tldr$/);
  expect(options?.authToken).toBeUndefined();
});

it.each([['0.0.0.0'], ['::'], ['192.168.1.4'], ['example.org:443']])(
  'an address that other machines can reach (%s) needs a token or --insecure',
  (host) => {
    expect(() => readOptions(['--host', host], {})).toThrow(/--auth-token.*--insecure/);
    expect(readOptions(['--host', host, '--insecure'], {})?.authToken).toBeUndefined();
    expect(readOptions(['--host', host, '--auth-token', 'long-enough'], {})?.authToken).toBe('long-enough');
    expect(readOptions(['--host', host], { HONE_AUTH_TOKEN: 'long-enough' })?.authToken).toBe('long-enough');
  },
);

it('warns that a token travels in clear on an address that other machines can reach, and how to avoid it', () => {
  const token = { HONE_AUTH_TOKEN: 'long-enough' };
  const warnings = (args: readonly string[], environment: NodeJS.ProcessEnv = token) =>
    readOptions(args, environment)?.warnings.map(({ code, message }) => `${code} ${message}`);
  expect(warnings([])).toEqual([]);
  expect(warnings(['--host', '127.0.0.5', '--metrics-host', 'localhost'])).toEqual([]);
  const [services, ...others] = warnings(['--host', '0.0.0.0']) ?? [];
  expect(others).toEqual([]);
  expect(services).toMatch(/^TOKEN_IN_CLEAR .*--host 0\.0\.0\.0 .*TLS.*127\.0\.0\.1.*SSH tunnel/);
  expect(services).not.toContain('long-enough');
  expect(warnings(['--metrics-host', '10.0.0.1'])).toEqual([expect.stringMatching(/^TOKEN_IN_CLEAR .*--metrics-host/)]);
  expect(warnings(['--metrics-host', '10.0.0.1', '--host', '10.0.0.1'])).toHaveLength(2);
  expect(warnings(['--host', '::', '--insecure'], {})).toEqual([expect.stringMatching(/^NO_TOKEN .*--host ::/)]);
});

it.each([
  [['--port', '65536']],
  [['--metrics-port', '-1']],
  [['--metrics-host', '0.0.0.0']],
  [['--no-metrics', '--metrics-port', '0']],
  [['--kv-memory', '1 furlong']],
  [['--kv-memory', '1.5.5GB']],
  [['--prefix-cache', '']],
  [['--prefix-cache', '-1MB']],
  [['--spin', 'maybe']],
  [['--threads', '1.5']],
  [['--threads', 'many']],
  [['--max-live-versions', '1']],
  [['--prefill-chunk', '0']],
  [['--port', '']],
  [['--learner', 'maybe']],
  [['--beta', 'strong']],
  [['--threads', '0']],
  [['--auth-token', 'short']],
  [['--auth-token', 'with a blank in it']],
  [['--learner-settings', '[1]']],
  [['--learner-settings', '{']],
  [['--gate', 'perhaps']],
  [['--gate-settings', '{']],
  [['--gate-settings', '[]']],
  [['--gate-settings', '{"kl":{"maxNats":-1}}']],
  [['--gate', 'off', '--gate-settings', '{}']],
  [['--reward-timeout-ms', '5']],
  [['--reward-function', 'reward.mjs', '--reward-timeout-ms', '0']],
  [['--max-open-requests', '0']],
  [['--max-connections', '0']],
  [['--keepalive-ms', '999']],
  [['--drain-grace-ms', 'soon']],
  [['--log-level', 'loud']],
  [['--explore', '1.5']],
  [['--explore', '-0.1']],
  [['--explore-completions', '0']],
  [['--explore-completions', '65']],
  [['--colour', 'blue']],
  [['stray']],
])('%j is refused', (args) => {
  expect(() => readOptions(args, {})).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
});

it('reads no options if --help is given', () => {
  expect(readOptions(['--help'], {})).toBeUndefined();
});

it("combines the learner's flags with its JSON settings", () => {
  const args = ['--beta', '0.05', '--scores-per-round', '16', '--learner-settings', '{"groupSize":8,"beta":1}'];
  expect(readOptions(args, {})?.learnerSettings).toEqual({ beta: 0.05, scoresPerRound: 16, groupSize: 8 });
});

it('reads the settings of rewards from the named file, and refuses a file that it cannot read', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'rewards.json');
  const read = () => readOptions(['--reward-settings', path], {})?.rewardSettings;
  try {
    expect(readOptions([], {})?.rewardSettings).toEqual({});
    expect(read).toThrow(/--reward-settings cannot be read.*rewards\.json/);
    writeFileSync(path, '{"defaultTrust": 2}');
    expect(read()).toEqual({ defaultTrust: 2 });
    writeFileSync(path, '{"defaultTrust": 2');
    expect(read).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('has the given settings of the gate, or none if the gate is off', () => {
  expect(readOptions([], {})?.gate).toEqual(checkGateSettings());
  expect(readOptions(['--gate', 'off'], {})?.gate).toBeNull();
  const { gate } = readOptions(['--gate-settings', '{"prompts":8,"kl":{"maxNats":5}}'], {}) ?? {};
  expect(gate).toMatchObject({ prompts: 8, kl: { enabled: true, maxNats: 5 } });
});

it.each([
  ['65536', 65_536],
  ['512MB', 512_000_000],
  ['512 mb', 512_000_000],
  ['1GiB', 1_073_741_824],
  ['1.5KiB', 1536],
  ['0', 0],
])('reads %s as a size', (text, bytes) => {
  const { policy } = readOptions(['--kv-memory', text, '--prefix-cache', text], {}) ?? {};
  expect(policy).toMatchObject({ kvMemoryBytes: bytes, prefixCacheBytes: bytes });
});

it('leaves threads and spinning to the measurement unless they are given', () => {
  expect(readOptions([], {})).toMatchObject({ threads: undefined, spin: undefined });
  expect(readOptions(['--threads', 'auto'], {})?.threads).toBeUndefined();
  expect(readOptions(['--threads', '3', '--spin', 'off'], {})).toMatchObject({ threads: 3, spin: false });
  expect(readOptions(['--spin', 'on'], {})).toMatchObject({ threads: undefined, spin: true });
});

it('serves metrics on loopback, and requires the port only if it was given', () => {
  expect(readOptions([], {})?.metrics).toMatchObject({ host: '127.0.0.1', port: 9464, required: false });
  expect(readOptions(['--metrics-port', '9464'], {})?.metrics).toMatchObject({ port: 9464, required: true });
  expect(readOptions(['--no-metrics'], {})?.metrics).toBeNull();
});

it('requires the token for metrics only if other machines can reach them', () => {
  const token = { HONE_AUTH_TOKEN: 'long-enough' };
  expect(readOptions([], token)?.metrics?.authToken).toBeUndefined();
  expect(readOptions(['--metrics-host', '10.0.0.1'], token)?.metrics?.authToken).toBe('long-enough');
  expect(readOptions(['--metrics-host', '10.0.0.1', '--insecure'], {})?.metrics?.authToken).toBeUndefined();
});

it('lists every flag once in the help, with its default', () => {
  const lines = usage().split('\n');
  expect(lines.filter((line) => /^ {2}--/.test(line)).map((line) => line.trim().split(' ')[0])).toEqual([
    ...serverFlags.map(({ name }) => `--${name}`),
    '--help',
  ]);
  expect(usage()).toContain('port to listen on; 0 takes a free one (default: 50051)');
});

it.each([
  [[], { maxBytes: 4 * 2 ** 30, maxAgeMs: null }],
  [['--max-replay-bytes', '0', '--max-replay-age', '30'], { maxBytes: null, maxAgeMs: 30 * 86_400_000 }],
  [['--max-replay-bytes', '1.5GB', '--max-replay-age', '1.5h'], { maxBytes: 1.5e9, maxAgeMs: 5_400_000 }],
])('reads the limits of the store from %j', (args, retention) => {
  expect(readOptions(args, {})?.retention).toEqual(retention);
});

it.each(['0', '-1', '3 weeks', '1w', ''])('refuses an age of %j', (age) => {
  expect(() => readOptions([`--max-replay-age=${age}`], {})).toThrow(/--max-replay-age must be days such as 30/);
});
