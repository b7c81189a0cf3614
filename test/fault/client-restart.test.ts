/** Callers outlive a crash of the server: `hone serve` starts it again, and they go on where they were. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connect, type HoneClient, type HoneEvent } from '../../client/index.js';
import { honeCommand } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { endGroup, startPiped } from '../support/processes.js';
import { freePort } from '../support/proxy.js';
import { tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

let group: number;
let data: string;
let address: string;
let client: HoneClient;
/** The number of times that the server has become ready. */
let starts: () => number;

beforeEach(async () => {
  data = temporaryFolder();
  const port = String(await freePort());
  const args = ['serve', '--json', '--data', data, '--package', tinyPackage, '--port', port];
  const child = startPiped(honeCommand, [...args, '--threads', '1', '--learner', 'off', '--no-metrics']);
  group = child.pid as number;
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    out += piece;
  });
  child.stderr.resume();
  starts = () => out.split('\n').filter((line) => line.startsWith('{')).length;
  await until(() => starts() === 1, 'the server is ready');
  address = `127.0.0.1:${port}`;
  client = await connect({ address });
});
afterEach(async () => {
  client.close();
  await endGroup(group);
});

async function killServer(): Promise<void> {
  const { pid } = JSON.parse(await readFile(join(data, 'server.json'), 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
}

it('a watch goes on after the last event, without a gap and without an event twice', async () => {
  const events: HoneEvent[] = [];
  const left = new AbortController();
  const watching = (async () => {
    for await (const event of client.watchEvents({ afterSequence: 0, signal: left.signal })) events.push(event);
  })();
  const ended = expect(watching).rejects.toMatchObject({ code: 'CANCELLED' });
  await until(() => events.length > 0, 'the watch has begun');
  for (const kills of [1, 2]) {
    await killServer();
    await until(() => starts() === kills + 1, 'the server is ready again');
    const started = () => events.filter(({ type }) => type === 'server_started').length;
    await until(() => started() === kills + 1, 'the watch has seen the start');
  }
  left.abort();
  await ended;
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1));
});

it('a watch from now on misses nothing, even if the server dies before there was an event', async () => {
  const watch = client.watchEvents({ types: ['server_started', 'mode_changed'] });
  const first = watch.next();
  const { live } = await client.status();
  expect(live.number).toBe(0);
  await killServer();
  expect(await first).toMatchObject({ value: { type: 'server_started' } });
  await client.setMode('apprentice');
  expect(await watch.next()).toMatchObject({ value: { type: 'mode_changed' } });
  await watch.return();
});

it('hone status --watch goes on', async () => {
  const watching = startPiped(honeCommand, ['status', '--watch', '--json', '--interval', '0.1', '--address', address]);
  let out = '';
  watching.stdout.setEncoding('utf8').on('data', (piece: string) => {
    out += piece;
  });
  watching.stderr.resume();
  /** The starts of the server that the command has shown. */
  const shown = () => new Set(out.match(/(?<="startedAtMs":)\d+(?=,"draining")/g));
  await until(() => shown().size === 1, 'the command shows the status');
  await killServer();
  await until(() => shown().size === 2 || watching.exitCode !== null, 'the command shows the status after the restart');
  expect(watching.exitCode).toBeNull();
  watching.kill('SIGINT');
});

it('reading calls, feedback, and requests that were not sent yet wait for the server', async () => {
  const { completions } = await client.generate({ prompt: 'a', n: 2, maxTokens: 1 });
  const [a = '', b = ''] = completions.map(({ generationId }) => generationId);
  const stream = client.feedbackStream();
  expect(await stream.send({ generationId: a, score: 1 })).toMatchObject({ status: 'stored' });
  await killServer();
  const answers = Promise.all([
    client.status(),
    client.explain(a),
    client.feedback({ generationId: b, score: 0.5 }),
    stream.send({ generationId: a, score: 0.25 }),
  ]);
  expect(await answers).toMatchObject([
    { draining: false },
    { generationId: a },
    [{ status: 'stored' }],
    { position: 1, status: 'replaced' },
  ]);
  await stream.close();
  await killServer();
  await until(
    () =>
      client.health('', { retry: { maxAttempts: 1 } }).then(
        () => false,
        () => true,
      ),
    'the server is gone',
  );
  expect(await client.generate({ prompt: 'a', maxTokens: 1 })).toMatchObject({ version: 0 });
});
