/**
 * The whole loop once (serve, score, learn, swap, restart) and the `hone` command, for the versions of Node on which the
 * other tests do not run. All processes run on the Node of these tests, without warnings of experimental features.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { connect } from '../../client/index.js';
import { eagerLearner, playUntil } from '../support/app.js';
import { hone, honeCommand } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { childOf, startPiped } from '../support/processes.js';
import { startServer, tinyPackage } from '../support/server.js';

const experimental = 'ExperimentalWarning';

/** Returns the program of a process, on systems with /proc. */
function programOf(pid: number): string {
  if (process.platform !== 'linux') return process.execPath;
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '';
}

it('scores become a version that serves, and a server that starts again on the same data serves it', async () => {
  const data = temporaryFolder();
  let id = '';
  let live = 0;
  {
    await using server = await startServer({ data, args: eagerLearner });
    const client = await server.connect();
    const learner = await childOf(server.ready.pid);
    for (const pid of [server.ready.pid, learner]) expect(programOf(pid)).toBe(process.execPath);
    const answer = await client.generate({ prompt: 'before', maxTokens: 8, ignoreEos: true });
    expect(answer).toMatchObject({ version: 0, usage: { completionTokens: 8 } });
    id = answer.completions[0]?.generationId ?? '';
    await client.feedback({ generationId: id, score: 0.25 });
    ({ number: live } = await playUntil(client, 1));
    expect(await client.generate({ prompt: 'after', maxTokens: 1 })).toMatchObject({ version: live });
    expect((await client.status()).lastSwap).toMatchObject({ version: live, probeVerdict: 'proved' });
    expect(await server.stop()).toBe(0);
    expect(server.log()).not.toContain(experimental);
  }
  await using again = await startServer({ data, args: eagerLearner });
  const client = await again.connect();
  expect(again.ready.version).toBe(live);
  const kept = await client.getGeneration(id);
  expect(kept).toMatchObject({ version: 0, state: 'finished', scores: [{ value: 0.25 }] });
  expect(kept.tokenIds).toHaveLength(8);
  await playUntil(client, live + 1);
  expect(await again.stop()).toBe(0);
  expect(again.log()).not.toContain(experimental);
});

it('the hone command serves, generates, scores, exports and erases', async () => {
  const flags = ['--package', tinyPackage, '--data', temporaryFolder(), '--learner', 'off', '--port', '0'];
  const serving = startPiped(honeCommand, ['serve', ...flags, '--no-metrics', '--threads', '1', '--json']);
  let log = '';
  serving.stderr.on('data', (piece: Buffer) => {
    log += piece;
  });
  const [line] = (await once(createInterface(serving.stdout), 'line')) as [string];
  const { address, pid } = JSON.parse(line) as { address: string; pid: number };
  expect(programOf(pid)).toBe(process.execPath);

  const generated = await hone(address, 'generate', 'hello', '--max-tokens', '4', '--subject', 'ann', '--json');
  const [answer] = (JSON.parse(generated.out) as { completions: { generationId: string }[] }).completions;
  const scored = await hone(address, 'feedback', answer?.generationId ?? '', '0.75');
  const status = await hone(address, 'status', '--json');
  const exported = await hone(address, 'export');
  const erased = await hone(address, 'erase', 'ann', '--yes');
  for (const { code, err } of [generated, scored, status, exported, erased]) {
    expect(code, err).toBe(0);
    expect(err).not.toContain(experimental);
  }
  expect(JSON.parse(status.out)).toMatchObject({ replay: { generations: 1, scores: 1 } });
  expect(exported.out.trim().split('\n')).toHaveLength(2);
  expect(erased.out).toMatch(/^erased: 1 generations, 1 scores/);
  const client = await connect({ address });
  expect((await client.status()).replay.generations).toBe(0);
  client.close();

  serving.kill('SIGTERM');
  expect(await once(serving, 'exit')).toEqual([0, null]);
  expect(log).not.toContain(experimental);
});
