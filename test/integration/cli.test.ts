/** The `hone` command with a server that it starts itself: first steps, a crash, a stop. */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { beforeAll, describe, expect, it } from 'vitest';
import type { GenerateResult } from '../../client/index.js';
import { hone, honeCommand } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { gone, isAlive, startProcess } from '../support/processes.js';
import { tinyPackage } from '../support/server.js';
import { hasTerminal, spawnOnTerminal } from '../support/terminal.js';
import { until } from '../support/until.js';

interface Ready {
  readonly address: string;
  readonly pid: number;
  readonly version: number;
}

/** Starts `hone serve --json`. `ready()` waits for its next line. */
class Serve {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #log = '';

  constructor(data: string, ...args: readonly string[]) {
    const flags = ['--package', tinyPackage, '--data', data, '--learner', 'off', '--threads', '1', '--json', ...args];
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    this.child = startProcess(process.execPath, [honeCommand, 'serve', ...flags], { stdio: [...stdio] });
    const output: Interface = createInterface({ input: this.child.stdout ?? process.stdin });
    this.#lines = output[Symbol.asyncIterator]();
    this.child.stderr?.on('data', (piece: Buffer) => {
      this.#log += piece;
    });
  }

  get log(): string {
    return this.#log;
  }

  async ready(): Promise<Ready> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`hone serve ended: ${this.#log}`);
    return JSON.parse(value) as Ready;
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const ended = once(this.child, 'exit') as Promise<[number | null]>;
    this.child.kill(signal);
    return (await ended)[0];
  }
}

describe('the hone command', () => {
  let data: string;
  let serve: Serve;
  let ready: Ready;
  let generationId: string;

  beforeAll(async () => {
    data = temporaryFolder();
    serve = new Serve(data, '--port', '0');
    ready = await serve.ready();
  });

  it('completes a prompt, scores the completion by its id, and shows the score in the status', async () => {
    const generated = await hone(ready.address, 'generate', 'hello', '--max-tokens', '4', '--ignore-eos', '--json');
    expect(generated.code, generated.err).toBe(0);
    const result = JSON.parse(generated.out) as GenerateResult;
    generationId = result.completions[0]?.generationId ?? '';
    expect(result).toMatchObject({ completions: [{ finishReason: 'length' }], usage: { completionTokens: 4 } });

    expect(await hone(ready.address, 'feedback', generationId, '0.5')).toMatchObject({
      code: 0,
      out: 'stored, on disk\n',
    });
    expect(await hone(ready.address, 'feedback', generationId, '0.75')).toMatchObject({ out: 'replaced, on disk\n' });
    const status = JSON.parse((await hone(ready.address, 'status', '--json')).out) as object;
    expect(status).toMatchObject({
      packageName: 'tiny',
      live: { number: 0, state: 'live', origin: 'base' },
      replay: { generations: 1, finished: 1, scores: 1, scoredGenerations: 1 },
      learner: { state: 'off' },
    });
  });

  it('prints the same text for the same seed, with and without --json', async () => {
    const args = ['generate', 'hello', '--seed', '7', '--max-tokens', '8', '--raw'];
    const [first, second] = await Promise.all([hone(ready.address, ...args), hone(ready.address, ...args)]);
    expect(first).toMatchObject({ code: 0, out: second?.out });
    expect(first.err).toContain('npm run hone -- feedback');
  });

  it('ends with code 4 and names the field if the server refuses a request', async () => {
    const refused = await hone(ready.address, 'generate', 'hello', '--temperature', '-1');
    expect(refused).toMatchObject({ code: 4, out: '' });
    expect(refused.err).toContain('sampling.temperature');
    expect(await hone(ready.address, 'rollback', '99')).toMatchObject({ code: 4 });
    expect(await hone(ready.address, 'feedback', 'nonsense', '1')).toMatchObject({ code: 4 });
  });

  it('restarts a server that is killed, with all the data that it had acknowledged', async () => {
    const { pid } = ready;
    process.kill(pid, 'SIGKILL');
    ready = await serve.ready();
    expect(ready.pid).not.toBe(pid);
    expect(serve.log).toContain('starting it again');
    const status = JSON.parse((await hone(ready.address, 'status', '--json')).out) as { replay: { scores: number } };
    expect(status.replay.scores).toBe(1);
  });

  it('refuses a second server on the same data, and does not restart it', async () => {
    const second = new Serve(data, '--port', '0');
    const [code] = (await once(second.child, 'exit')) as [number];
    expect(code).toBe(78);
    expect(second.log).toContain('is used by');
  });

  it('refuses a damaged package with the file and the reason, and without a stack', async () => {
    const folder = temporaryFolder();
    await cp(tinyPackage, folder, { recursive: true });
    await truncate(join(folder, 'onnx/model.onnx'), 1000);
    const refused = new Serve(join(folder, 'data'), '--port', '0', '--package', folder);
    expect(await once(refused.child, 'close')).toEqual([78, null]);
    expect(refused.log).toMatch(
      /^hone: .*model\.onnx: .*not an ONNX file; download or export .*\(PACKAGE_INVALID\)\n$/,
    );
    const missing = new Serve(join(folder, 'data'), '--package', join(folder, 'onnx'));
    expect(await once(missing.child, 'close')).toEqual([2, null]);
    expect(missing.log).toContain('no model in');
  });

  it('stops the server and ends with code 0 on SIGTERM', async () => {
    expect(await serve.end('SIGTERM')).toBe(0);
    expect(isAlive(ready.pid)).toBe(false);
  });

  it('logs lines of JSON if no terminal reads them', () => {
    const log = serve.log.split('\n').filter((line) => line !== '' && !line.startsWith('hone: '));
    const said = log.map((line) => JSON.parse(line) as { msg: string });
    expect(said.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['first request', 'stopping', 'stopped']));
  });

  it.skipIf(!hasTerminal)(
    'prints the important events at a terminal, and no word of a prompt or completion',
    async () => {
      const folder = temporaryFolder();
      const flags = ['--package', tinyPackage, '--data', folder, '--port', '0', '--learner', 'off', '--no-metrics'];
      const command = [process.execPath, honeCommand, 'serve', ...flags, '--adapters', 'on', '--threads', '1'];
      const child = spawnOnTerminal(command);
      let shown = '';
      child.stdout?.on('data', (piece: Buffer) => {
        shown += piece;
      });
      const ended = once(child, 'exit');
      await until(() => / at (127\.0\.0\.1:\d+)/.test(shown), 'the banner');
      const address = / at (127\.0\.0\.1:\d+)/.exec(shown)?.[1] ?? '';
      const banner = shown.length;
      const generated = JSON.parse((await hone(address, 'generate', 'xylophone', '--json')).out) as GenerateResult;
      await hone(address, 'feedback', generated.completions[0]?.generationId ?? '', '1', '--rater', 'me\u001b[2J');
      await hone(address, 'generate', 'xylophone');
      await hone(address, 'mode', 'apprentice');
      const { pid } = JSON.parse(await readFile(join(folder, 'server.json'), 'utf8')) as { pid: number };
      process.kill(pid, 'SIGTERM');
      await ended;
      const lines = shown
        .slice(banner)
        .split('\r\n')
        .filter((line) => /^\d/.test(line));
      expect(lines.map((line) => line.replace(/^\d\d:\d\d:\d\dZ {2}/, ''))).toEqual([
        expect.stringMatching(/^the first request was answered, in [\d.]+ s$/),
        'the mode of new versions is apprentice',
        'stopping (SIGTERM): no new requests, running ones may finish',
        'stopped',
      ]);
      expect(shown).not.toContain('{"level"');
      for (const word of ['xylophone', generated.completions[0]?.text ?? '', 'me\u001b'])
        expect(shown).not.toContain(word);
    },
  );

  it('leaves no server behind if the command itself is killed', async () => {
    serve = new Serve(data, '--port', '0');
    ready = await serve.ready();
    await serve.end('SIGKILL');
    await gone(ready.pid);
  });
});
