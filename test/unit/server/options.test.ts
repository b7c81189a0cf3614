import { expect, it } from 'vitest';
import { readOptions } from '../../../server/options.js';

it('without flags the server listens on loopback, learns, and serves the package that ships', () => {
  const options = readOptions([], {});
  expect(options).toMatchObject({ host: '127.0.0.1', port: 50051, learner: true, insecure: false });
  expect(options?.packageDirectory).toMatch(/models\/tldr$/);
  expect(options?.authToken).toBeUndefined();
});

it.each([['0.0.0.0'], ['::'], ['192.168.1.4'], ['example.org:443']])(
  'another address than loopback (%s) needs a token or --insecure',
  (host) => {
    expect(() => readOptions(['--host', host], {})).toThrow(/--auth-token.*--insecure/);
    expect(readOptions(['--host', host, '--insecure'], {})).toMatchObject({ insecure: true });
    expect(readOptions(['--host', host, '--auth-token', 'long-enough'], {})).toMatchObject({ insecure: false });
    expect(readOptions(['--host', host], { HONE_AUTH_TOKEN: 'long-enough' })?.authToken).toBe('long-enough');
  },
);

it.each([
  [['--port', '65536']],
  [['--port', '']],
  [['--learner', 'maybe']],
  [['--beta', 'strong']],
  [['--threads', '0']],
  [['--auth-token', 'short']],
  [['--auth-token', 'with a blank in it']],
  [['--learner-settings', '[1]']],
  [['--learner-settings', '{']],
  [['--max-open-requests', '0']],
  [['--drain-grace-ms', 'soon']],
  [['--log-level', 'loud']],
  [['--colour', 'blue']],
  [['stray']],
])('%j is refused', (args) => {
  expect(() => readOptions(args, {})).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
});

it('--help asks for nothing else', () => {
  expect(readOptions(['--help'], {})).toBeUndefined();
});

it("the learner's flags and its JSON settings add up", () => {
  const args = ['--beta', '0.05', '--scores-per-round', '16', '--learner-settings', '{"groupSize":8,"beta":1}'];
  expect(readOptions(args, {})?.learnerSettings).toEqual({ beta: 0.05, scoresPerRound: 16, groupSize: 8 });
});
