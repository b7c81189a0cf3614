/** `hone pull`, `hone models` and packages by name as processes, against a hub of the test. */

import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { honeCommand } from '../support/command.js';
import { canMount, onSmallDisk } from '../support/file-systems.js';
import { temporaryFolder } from '../support/folders.js';
import { commit, smallRepository, TestHub } from '../support/hub.js';
import { endGroup, runPiped, startPiped, startProcess } from '../support/processes.js';
import { tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

let hub: TestHub;
let home: string;
beforeAll(async () => {
  const files = Object.fromEntries(
    (readdirSync(tinyPackage, { recursive: true, encoding: 'utf8' }) as string[])
      .filter((name) => name.includes('.'))
      .map((name) => [name.replaceAll('\\', '/'), readFileSync(join(tinyPackage, name))]),
  );
  hub = await TestHub.start(smallRepository(), smallRepository({ id: 'somebody/tiny', files }));
  home = temporaryFolder();
});
afterAll(() => hub.close());

const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  HF_ENDPOINT: hub.endpoint,
  HF_HOME: home,
  ...more,
});
const hone = (args: readonly string[], more?: NodeJS.ProcessEnv) => runPiped(honeCommand, args, environment(more));

describe('hone pull', () => {
  it('fetches a model, says what it chose and why, and prints the folder', async () => {
    const { code, out, err } = await hone(['pull', 'somebody/small-model']);
    expect(code, err).toBe(0);
    expect(err).toMatch(
      /small-model:fp32: the most exact form; its weights take about 198 KiB.*\nlicence: apache-2\.0\nfetching 198 KiB/,
    );
    const [line, folder = ''] = out.trimEnd().split('\n');
    expect(line).toBe(`somebody/small-model:fp32 at ${commit.slice(0, 12)}, 198 KiB`);
    expect(existsSync(join(folder, 'onnx/model.onnx_data'))).toBe(true);
  });

  it('prints the same as one line of JSON, and progress on standard error', async () => {
    const { code, out, err } = await hone(['pull', 'somebody/small-model:q4', '--json']);
    expect(code, err).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      variant: 'q4',
      modelFile: 'onnx/model_q4.onnx',
      fetchedBytes: 50_000,
      commit,
    });
    const lines = err
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { progress: object });
    expect(lines[0]?.progress).toMatchObject({ chosen: 'q4', license: 'apache-2.0' });
    expect(lines.at(-1)?.progress).toMatchObject({ done: 50_038, total: 50_038 });
  });

  it.each([
    [2, 'small-model', /is no name of a model/],
    [4, 'somebody/smal-model', /Near names: .*somebody\/small-model/],
    [4, 'somebody/small-model:q5', /no form q5. It has:\n {2}:fp32/],
  ])('ends with code %d and what to do for %s', async (expected, name, message) => {
    const { code, err } = await hone(['pull', name]);
    expect(code).toBe(expected);
    expect(err).toMatch(message);
  });

  it('ends with code 3 if the hub is down and the cache has nothing, and offline', async () => {
    const { code, err } = await hone(['pull', 'somebody/tiny'], { HF_HUB_OFFLINE: '1' });
    expect(code).toBe(3);
    expect(err).toContain('HF_HUB_OFFLINE');
  });

  it('goes on where a process stopped that was killed in the middle', async () => {
    const own = temporaryFolder();
    hub.fail(/storage .*onnx_data/, { kind: 'silent', afterBytes: 100_000 });
    const child = startPiped(honeCommand, ['pull', 'somebody/small-model'], environment({ HF_HOME: own }));
    const blobs = join(own, 'hub/models--somebody--small-model/blobs');
    const partial = (): string[] =>
      (existsSync(blobs) ? readdirSync(blobs) : []).filter((name) => name.endsWith('.hone.incomplete'));
    await until(() => partial().some((name) => readFileSync(join(blobs, name)).length > 50_000), 'a part has come');
    await endGroup(child.pid ?? 0);
    const requests = hub.seen.length;
    const { code, err } = await hone(['pull', 'somebody/small-model'], { HF_HOME: own });
    expect(code, err).toBe(0);
    const ranges = hub.seen
      .slice(requests)
      .filter(({ url }) => url.endsWith('onnx_data'))
      .map(({ range }) => range);
    expect(ranges.at(-1)).toMatch(/^bytes=\d{5,6}-$/);
    expect(partial()).toEqual([]);
  });
});

describe('a disk that becomes full', () => {
  it('ends a pull with what to do, and the next one goes on there', async () => {
    const own = temporaryFolder();
    const command = `ulimit -f 128 && exec "$0" "$@"`;
    const child = startProcess('sh', ['-c', command, process.execPath, honeCommand, 'pull', 'somebody/small-model'], {
      env: environment({ HF_HOME: own }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [err, [code]] = await Promise.all([text(child.stderr ?? process.stdin), once(child, 'close')]);
    expect(code).toBe(1);
    expect(err).toMatch(/hone: .*became full while onnx\/model\.onnx_data .* it goes on where it stopped/);
    const requests = hub.seen.length;
    expect((await hone(['pull', 'somebody/small-model'], { HF_HOME: own })).code).toBe(0);
    expect(hub.seen.slice(requests).find(({ url }) => url.endsWith('onnx_data'))?.range).toMatch(/^bytes=\d{5,6}-$/);
  });

  it.skipIf(!canMount)('is noticed before anything is fetched', async () => {
    const own = temporaryFolder();
    const [program = '', ...prefix] = onSmallDisk(own, 2 ** 20);
    const args = [...prefix, process.execPath, honeCommand, 'pull', 'somebody/small-model', '--json'];
    const requests = hub.seen.length;
    const child = startProcess(program, args, {
      env: environment({ HF_HOME: own }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [err, [code]] = await Promise.all([text(child.stderr ?? process.stdin), once(child, 'close')]);
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/"code":"CACHE_FULL".*the disk of .* has [\d.]+ [KM]iB free/),
    ]);
    expect(hub.seen.slice(requests).filter(({ url }) => url.includes('resolve'))).toEqual([]);
  });
});

describe('hone models', () => {
  it('lists what the cache holds and removes what is named', async () => {
    const listed = await hone(['models']);
    expect(listed.out).toMatch(
      /somebody\/small-model:fp32 +main +198 KiB +llama +not served yet\nsomebody\/small-model:q4 +main +48\.9 KiB/,
    );
    const [model] = (await hone(['models', '--json'])).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(model).toMatchObject({
      id: 'somebody/small-model',
      incompleteBytes: 0,
      snapshots: [{ revisions: ['main'] }],
    });
    const removed = await hone(['models', 'remove', 'somebody/small-model:fp32', '--json']);
    expect(JSON.parse(removed.out)).toEqual({ name: 'somebody/small-model:fp32', freedBytes: 203_000 });
    expect((await hone(['models'])).out).not.toContain('fp32');
    const absent = await hone(['models', 'remove', 'somebody/other']);
    expect([absent.code, absent.err]).toEqual([4, expect.stringContaining('hone models lists')]);
  });
});

describe('hone serve', () => {
  it('serves a model by its name, and starts again without the hub', async () => {
    for (const more of [{}, { HF_HUB_OFFLINE: '1' }]) {
      const data = join(temporaryFolder(), 'data');
      const flags = '--port 0 --no-metrics --threads 1 --spin off --learner off --json'.split(' ');
      const args = ['serve', '--package', 'somebody/tiny', '--data', data, ...flags];
      const child = startPiped(honeCommand, args, environment(more));
      const errors = text(child.stderr);
      const [ready] = (await once(child.stdout, 'data')) as [Buffer];
      expect(JSON.parse(String(ready))).toMatchObject({ type: 'ready', version: 0 });
      child.kill('SIGTERM');
      const [code] = await once(child, 'close');
      expect(code, await errors).toBe(0);
    }
    expect((await hone(['models'])).out).toMatch(/somebody\/tiny:fp32 .* served\n/);
  });
});
