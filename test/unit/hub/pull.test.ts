/** A pull fetches what is needed into Hugging Face's cache, goes on where it stopped, and ends with what to do. */

import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { listModels, noteServed, removeModel } from '../../../src/hub/index.js';
import { checkRoom } from '../../../src/hub/room.js';
import { commit, smallRepository, TestHub, type TestRepository } from '../../support/hub.js';
import { Pulls } from '../../support/hub-pulls.js';
import { until } from '../../support/until.js';

const id = 'somebody/small-model';
let open: TestHub[] = [];
afterEach(async () => {
  await Promise.all(open.map((hub) => hub.close()));
  open = [];
});

async function startHub(...repositories: TestRepository[]): Promise<TestHub> {
  const hub = await TestHub.start(...repositories);
  open.push(hub);
  return hub;
}

describe('a pull', () => {
  it('fetches one variant with its configuration and nothing else, into the layout of Hugging Face', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    const { directory, choice } = await pulls.pull(id);
    expect(choice.variant).toMatchObject({ name: 'fp32', modelFile: 'onnx/model.onnx' });
    const root = join(pulls.cacheDirectory, 'models--somebody--small-model');
    expect(directory).toBe(join(root, 'snapshots', commit));
    expect(readFileSync(join(root, 'refs/main'), 'utf8')).toBe(commit);
    const files = (readdirSync(directory, { recursive: true }) as string[]).sort();
    expect(files).toEqual([
      'config.json',
      'generation_config.json',
      'onnx',
      'onnx/model.onnx',
      'onnx/model.onnx_data',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const data = join(directory, 'onnx/model.onnx_data');
    const sha256 = createHash('sha256').update(readFileSync(data)).digest('hex');
    expect(lstatSync(data).isSymbolicLink()).toBe(true);
    expect(readlinkSync(data)).toBe(`../../../blobs/${sha256}`);
    expect(readdirSync(join(root, 'blobs')).filter((name) => name.includes('incomplete'))).toEqual([]);
    expect(pulls.events[0]).toMatchObject({ type: 'chosen', license: 'apache-2.0' });
    expect(pulls.events.at(-1)).toMatchObject({
      type: 'progress',
      done: choice.variant.bytes,
      total: choice.variant.bytes,
    });
  });

  it('fetches nothing again, and only the difference for another variant', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    await pulls.pull(id);
    const before = hub.asked(/resolve/).length;
    expect(await pulls.pull(id)).toMatchObject({ fetchedBytes: 0 });
    expect(hub.asked(/resolve/)).toHaveLength(before);
    expect(await pulls.pull(`${id}:q4`)).toMatchObject({ fetchedBytes: 50_000 });
    expect(
      hub
        .asked(/resolve/)
        .slice(before)
        .map(({ url }) => url),
    ).toEqual(Array(2).fill(`/${id}/resolve/${commit}/onnx/model_q4.onnx`));
  });

  it('goes on behind what came when the connection is cut, again and again', async () => {
    const hub = await startHub(smallRepository());
    for (let n = 0; n < 6; n += 1) hub.fail(/storage .*onnx_data/, { kind: 'cut', afterBytes: 20_000 });
    const pulls = new Pulls(hub, { pace: { waitsMs: Array(8).fill(1) } });
    const { directory } = await pulls.pull(id);
    expect(readFileSync(join(directory, 'onnx/model.onnx_data'))).toEqual(Buffer.alloc(200_000, 'weights'));
    // What is on its way when a connection ends may be lost.
    const asked = hub.asked(/onnx_data/).filter(({ host }) => host === 'storage');
    const from = asked.map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0));
    expect(from).toHaveLength(7);
    expect(from).toEqual([...from].sort((a, b) => a - b));
    expect(from.at(-1)).toBeGreaterThan(0);
    expect(pulls.said).toContain('was cut off at');
  });

  it('gives up a file that no byte comes of, keeps what it has, and goes on in a later pull', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/storage .*onnx_data/, { kind: 'cut', afterBytes: 70_000 });
    hub.fail(/storage .*onnx_data/, { kind: 'cut', afterBytes: 0 }, 3);
    const pulls = new Pulls(hub);
    await expect(pulls.pull(id)).rejects.toMatchObject({
      code: 'HUB_UNREACHABLE',
      message: expect.stringContaining('run the command again'),
    });
    const blobs = join(pulls.cacheDirectory, 'models--somebody--small-model/blobs');
    expect(readdirSync(blobs).filter((name) => name.endsWith('.hone.incomplete'))).toHaveLength(1);
    // No snapshot claims to hold the form.
    await expect(
      pulls.pull(id, { refresh: false, settings: { ...pulls.options.settings, offline: true } }),
    ).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
    await pulls.pull(id);
    expect(hub.asked(/onnx_data/).at(-1)).toMatchObject({ range: expect.stringMatching(/^bytes=\d+-$/) });
  });

  it('begins again when the hub does not give the rest alone', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/storage .*onnx_data/, { kind: 'cut', afterBytes: 70_000 });
    hub.fail(/storage .*onnx_data/, { kind: 'noRange' });
    const { directory } = await new Pulls(hub).pull(id);
    expect(readFileSync(join(directory, 'onnx/model.onnx_data'))).toEqual(Buffer.alloc(200_000, 'weights'));
  });

  it('gives up a connection that has gone silent and goes on', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/storage .*onnx_data/, { kind: 'silent', afterBytes: 70_000 });
    const pulls = new Pulls(hub, { pace: { silentMs: 200 } });
    await pulls.pull(id);
    expect(pulls.said).toContain('nothing came any more');
  });

  it('deletes content with a wrong hash and fetches it once more', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/storage .*onnx_data/, { kind: 'wrong' });
    const pulls = new Pulls(hub);
    const { directory } = await pulls.pull(id);
    expect(pulls.said).toContain('other content');
    expect(readFileSync(join(directory, 'onnx/model.onnx_data'))).toEqual(Buffer.alloc(200_000, 'weights'));
  });

  it.each([
    ['large', /storage .*onnx_data/],
    ['small', /hub .*tokenizer\.json/],
  ])('refuses a %s file whose content is wrong twice, and keeps none of it', async (_, match) => {
    const hub = await startHub(smallRepository());
    hub.fail(match, { kind: 'wrong' }, 2);
    const pulls = new Pulls(hub);
    await expect(pulls.pull(id)).rejects.toMatchObject({
      code: 'DOWNLOAD_CORRUPT',
      message: expect.stringContaining('twice'),
    });
    expect(await pulls.pull(id)).toMatchObject({ fetchedBytes: expect.any(Number) });
  });

  it('does not send the token to the host that the hub redirects to', async () => {
    const hub = await startHub(smallRepository());
    await new Pulls(hub, { token: 'hf_secret' }).pull(id);
    const hosts = (host: string) =>
      hub.seen.filter((one) => one.host === host).map(({ authorization }) => authorization);
    expect(new Set(hosts('hub'))).toEqual(new Set(['Bearer hf_secret']));
    expect(new Set(hosts('storage'))).toEqual(new Set([undefined]));
  });

  it('reads a listing of several pages', async () => {
    const hub = await startHub(smallRepository());
    hub.pageSize = 3;
    expect((await new Pulls(hub).pull(`${id}:q4`)).choice.variant.files.map(({ path }) => path)).toContain(
      'tokenizer_config.json',
    );
    expect(hub.asked(/tree/)).toHaveLength(4);
  });

  it('waits as long as a busy hub asks, and says it', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/hub .*revision/, { kind: 'status', status: 429, headers: { 'retry-after': '7' } });
    const pulls = new Pulls(hub);
    await pulls.pull(id);
    expect(pulls.waits).toEqual([7000]);
    expect(pulls.said).toContain('too many requests');
  });

  it('lets a second pull wait for the first and fetch nothing twice', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    hub.onRequest = ({ host, url }) => (host === 'storage' && url.endsWith('onnx_data') ? held : undefined);
    const first = pulls.pull(id);
    await until(() => hub.asked(/onnx_data/).length > 0, 'the first pull fetches');
    const second = pulls.pull(id);
    await until(() => pulls.said.includes('another process'), 'the second pull waits');
    release();
    expect(await first).toMatchObject({ fetchedBytes: expect.any(Number) });
    expect(await second).toMatchObject({ fetchedBytes: 0 });
    expect(hub.asked(/onnx_data/).filter(({ host }) => host === 'storage')).toHaveLength(1);
  });

  it('ends when it is aborted, with what came kept', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/storage .*onnx_data/, { kind: 'silent', afterBytes: 70_000 });
    const pulls = new Pulls(hub);
    const stop = new AbortController();
    const pulling = pulls.pull(id, { signal: stop.signal });
    const expected = expect(pulling).rejects.toThrow('enough');
    await until(() => pulls.events.some((one) => one.type === 'progress' && one.done >= 70_000), 'a part came');
    stop.abort(new Error('enough'));
    await expected;
    const blobs = readdirSync(join(pulls.cacheDirectory, 'models--somebody--small-model/blobs'));
    expect(blobs.some((name) => name.endsWith('.hone.incomplete'))).toBe(true);
  });

  it('refuses what has no room on the bound of the cache, before it fetches', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull(id, { maxCacheBytes: 100_000 })).rejects.toMatchObject({ code: 'CACHE_FULL' });
    expect(hub.asked(/resolve/)).toEqual([]);
  });

  it('refuses what has no room on the disk, with the figures', async () => {
    const full = checkRoom(new Pulls({ endpoint: '' }).cacheDirectory, 2 ** 30, undefined, 2 ** 29);
    await expect(full).rejects.toMatchObject({
      code: 'CACHE_FULL',
      message: expect.stringMatching(/needs 1 GiB, .* has 512 MiB free/),
    });
  });

  it('shows the name and the text of a licence that is its owner\u2019s own', async () => {
    const hub = await startHub(smallRepository());
    const cardData = { license: 'other', license_name: 'small-1.0', license_link: 'LICENSE' };
    hub.fail(/revision/, { kind: 'status', status: 200, body: JSON.stringify({ sha: commit, cardData }) });
    expect(await new Pulls(hub).pull(id)).toMatchObject({ license: 'small-1.0, LICENSE' });
  });

  it('refuses a hub that lists paths outside of the repository', async () => {
    const hub = await startHub(smallRepository({ files: { '../../evil.json': '{}', 'onnx/model.onnx': 'a' } }));
    await expect(new Pulls(hub).pull(id)).rejects.toMatchObject({
      code: 'HUB_UNREACHABLE',
      message: expect.stringContaining('evil'),
    });
  });
});

describe('a refusal', () => {
  it.each([
    [
      'a gated model',
      /revision/,
      403,
      { 'x-error-code': 'GatedRepo' },
      'HUB_REFUSED',
      /gated: accept its licence at .*small-model .*HF_TOKEN/,
    ],
    ['a private one without a token', /revision/, 401, {}, 'HUB_REFUSED', /does not exist, or it is private.*HF_TOKEN/],
    ['a token without rights', /revision/, 403, {}, 'HUB_REFUSED', /token may not read it/],
    [
      'a gated file',
      /hub .*resolve.*onnx_data/,
      401,
      { 'x-error-code': 'GatedRepo' },
      'HUB_REFUSED',
      /accept its licence/,
    ],
    ['a hub that is busy for long', /revision/, 429, { 'retry-after': '3600' }, 'HUB_BUSY', /in 3600 s/],
    ['an address that is no hub', /revision/, 200, {}, 'HUB_UNREACHABLE', /no answer of a Hugging Face hub/],
  ])('of %s says what to do', async (_, match, status, headers, code, message) => {
    const hub = await startHub(smallRepository());
    hub.fail(match, { kind: 'status', status, headers });
    await expect(new Pulls(hub).pull(id)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('of a token that is not valid says so', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/revision/, { kind: 'status', status: 401, headers: { 'x-error-message': 'Invalid credentials' } });
    await expect(new Pulls(hub, { token: 'hf_old' }).pull(id)).rejects.toMatchObject({
      code: 'HUB_REFUSED',
      message: expect.stringMatching(/token .* is not valid or has expired.*Invalid credentials/),
    });
  });

  it('of a name that does not exist lists near ones', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull('somebody/smal-model')).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringMatching(/no model somebody\/smal-model .*Near names: somebody\/small-model/),
    });
  });

  it('of a revision lists those that there are', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull(`${id}@v2`)).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringContaining('no revision v2. It has: main, v1'),
    });
  });

  it('of a variant shows a table of those that there are, with sizes', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull(`${id}:q5`)).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringMatching(/no form q5\. It has:\n {2}:fp32 +198 KiB +onnx\/model\.onnx\n {2}:q4 +48\.9 KiB/),
    });
  });

  it('of a hub that is down comes after a few tries', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    await hub.close();
    await expect(pulls.pull(id)).rejects.toMatchObject({
      code: 'HUB_UNREACHABLE',
      message: expect.stringContaining('HF_ENDPOINT'),
    });
    expect(pulls.waits).toEqual([1, 2, 4]);
  });
});

describe('the cache', () => {
  it('serves when the hub is down, with a warning, and without one when it is not asked', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    const { directory } = await pulls.pull(id);
    await hub.close();
    expect(await pulls.pull(id)).toMatchObject({ directory });
    expect(pulls.said).toContain('The snapshot in the cache is used');
    pulls.events.length = 0;
    expect(await pulls.pull(id, { refresh: false })).toMatchObject({ directory });
    expect(pulls.events).toEqual([]);
  });

  it('keeps what serves although the hub has a newer commit, until it is pulled', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    await pulls.pull(id);
    hub.put(smallRepository({ commit: 'b'.repeat(40) }));
    expect(await pulls.pull(id, { refresh: false })).toMatchObject({ commit });
    expect(await pulls.pull(id)).toMatchObject({ commit: 'b'.repeat(40), fetchedBytes: 0 });
    expect(await pulls.pull(id, { refresh: false })).toMatchObject({ commit: 'b'.repeat(40) });
  });

  it('is all that is asked offline', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    await pulls.pull(`${id}:q4`);
    const requests = hub.seen.length;
    const offline = { settings: { ...pulls.options.settings, offline: true } };
    expect(await pulls.pull(id, offline)).toMatchObject({ choice: { variant: { name: 'q4' } } });
    await expect(pulls.pull(`${id}:fp32`, offline)).rejects.toMatchObject({
      message: expect.stringMatching(/HF_HUB_OFFLINE[\s\S]*:q4/),
    });
    expect(hub.seen).toHaveLength(requests);
  });

  it('goes on after a process was killed in the middle of a file, and never takes a half-written one', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    const blobs = join(pulls.cacheDirectory, 'models--somebody--small-model/blobs');
    const content = Buffer.alloc(200_000, 'weights');
    const name = createHash('sha256').update(content).digest('hex');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${name}.hone.incomplete`), content.subarray(0, 123_456));
    expect(await pulls.pull(id)).toMatchObject({ fetchedBytes: expect.any(Number) });
    expect(hub.asked(/onnx_data/).at(-1)).toMatchObject({ range: 'bytes=123456-' });
    expect(existsSync(join(blobs, `${name}.hone.incomplete`))).toBe(false);
  });

  it('never shows a form of which a part is missing', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    const snapshot = join(pulls.cacheDirectory, 'models--somebody--small-model/snapshots', commit);
    // A folder in the place of the data stands for a process that ends before it links them.
    mkdirSync(join(snapshot, 'onnx/model.onnx_data/something'), { recursive: true });
    await expect(pulls.pull(id)).rejects.toThrow('cannot be written');
    expect(existsSync(join(snapshot, 'onnx/model.onnx'))).toBe(false);
  });

  it('remembers which forms were served, and with a learner', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    const { directory } = await pulls.pull(id);
    await pulls.pull(`${id}:q4`);
    await noteServed(directory, 'onnx/model.onnx', true);
    await noteServed(directory, 'onnx/model.onnx', false);
    await noteServed(pulls.cacheDirectory, 'onnx/model.onnx', true);
    const [model] = await listModels(pulls.cacheDirectory);
    expect(model?.snapshots[0]?.variants).toMatchObject([
      { name: 'fp32', served: { learns: true } },
      { name: 'q4', served: undefined },
    ]);
  });

  it('gives a variant back without harm to another', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    const { directory } = await pulls.pull(id);
    await pulls.pull(`${id}:q4`);
    const ask = { signal: new AbortController().signal, onWait: () => undefined };
    const freed = await removeModel(pulls.cacheDirectory, { id, variant: 'fp32', revision: undefined }, ask);
    expect(freed).toBe(203_000);
    expect(existsSync(join(directory, 'onnx/model.onnx'))).toBe(false);
    expect(await pulls.pull(id, { refresh: false })).toMatchObject({ choice: { variant: { name: 'q4' } } });
    await removeModel(pulls.cacheDirectory, { id, variant: undefined, revision: undefined }, ask);
    expect(readdirSync(pulls.cacheDirectory)).toEqual(['.locks']);
  });
});
