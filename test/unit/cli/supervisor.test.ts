/** The supervisor with small processes that behave like servers: restarts, refusals, stopping. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { argumentsOfStarts } from '../../../cli/commands/serve.js';
import { Supervisor, type SupervisorOptions } from '../../../cli/supervisor.js';
import { configurationExitCode } from '../../../server/parent-process.js';
import { temporaryFolder } from '../../support/folders.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

/** Counts its starts in the file `starts`, then does what the test says. */
function program(body: string): string {
  const file = join(folder, 'server.mjs');
  writeFileSync(
    file,
    `import { appendFileSync, readFileSync } from 'node:fs';
     const starts = ${JSON.stringify(join(folder, 'starts'))};
     appendFileSync(starts, 'x');
     const start = readFileSync(starts, 'utf8').length;
     const ready = () => process.send({ type: 'ready', address: 'a:1', data: 'd', package: 'p', version: start, learner: true });
     ${body}`,
  );
  return file;
}

interface Seen {
  readonly versions: number[];
  readonly restarts: [string, number][];
}

function supervise(
  body: string,
  onReady: (supervisor: Supervisor) => void = () => undefined,
  over: Partial<SupervisorOptions> = {},
): [Supervisor, Seen] {
  const seen: Seen = { versions: [], restarts: [] };
  const options: SupervisorOptions = {
    file: program(body),
    args: [],
    env: process.env,
    baseDelayMs: 5,
    maxDelayMs: 15,
    onReady: ({ version }) => {
      seen.versions.push(version);
      onReady(supervisor);
    },
    onRestart: (reason, waitMs) => seen.restarts.push([reason, waitMs]),
    ...over,
  };
  const supervisor = new Supervisor(options);
  return [supervisor, seen];
}

it('restarts a server that dies, with growing delays, until it ends with code 0', async () => {
  const [supervisor, seen] = supervise(`
    ready();
    if (start === 1) process.kill(process.pid, 'SIGKILL');
    else setImmediate(() => process.exit(start < 5 ? 1 : 0));`);
  expect(await supervisor.run()).toBe(0);
  expect(seen.restarts).toEqual([
    ['was ended by SIGKILL', 5],
    ['ended with code 1', 10],
    ['ended with code 1', 15],
    ['ended with code 1', 15],
  ]);
});

it('gives --start-without and --mode to the first start of a server alone', async () => {
  const seen = join(folder, 'arguments');
  const flags = { data: 'd', startWithout: 'replay', mode: 'canary', insecure: true };
  const [supervisor] = supervise(
    `appendFileSync(${JSON.stringify(seen)}, process.argv.slice(2).join(' ') + '\\n');
     ready(); setImmediate(() => process.exit(start < 3 ? 1 : 0));`,
    undefined,
    argumentsOfStarts(flags),
  );
  expect(await supervisor.run()).toBe(0);
  const later = '--data d --insecure';
  const [first = '', ...others] = readFileSync(seen, 'utf8').trimEnd().split('\n');
  expect(first).toContain('--start-without replay');
  expect(first).toContain('--mode canary');
  expect(others).toEqual([later, later]);
});

it('does not restart a server whose configuration is wrong', async () => {
  const [supervisor, seen] = supervise(`ready(); setImmediate(() => process.exit(${configurationExitCode}));`);
  expect(await supervisor.run()).toBe(configurationExitCode);
  expect(seen.restarts).toEqual([]);
});

it('does not restart a server that never became ready', async () => {
  const [supervisor, seen] = supervise('process.exit(3);');
  expect(await supervisor.run()).toBe(1);
  expect(seen).toEqual({ versions: [], restarts: [] });
});

it('sends SIGTERM when it is stopped, and waits for the server to end', async () => {
  const [supervisor, seen] = supervise(
    `process.on('SIGTERM', () => setTimeout(() => process.exit(0), 20)); ready(); setInterval(() => {}, 1000);`,
    (running) => running.stop(),
  );
  expect(await supervisor.run()).toBe(0);
  expect(seen.restarts).toEqual([]);
});

it('kills a server that ignores SIGTERM when it is stopped a second time', async () => {
  const [supervisor] = supervise(
    `process.on('SIGTERM', () => ready()); ready(); setInterval(() => {}, 1000);`,
    (running) => running.stop(),
  );
  expect(await supervisor.run()).toBe(1);
});
