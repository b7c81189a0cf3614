/** A pull fetches what is needed into the cache of Hugging Face and goes on where it stopped. */

import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkRoom } from '../../../src/hub/room.js';
import { commit, smallRepository, startHub } from '../../support/hub.js';
import { Pulls } from '../../support/hub-pulls.js';
import { until } from '../../support/until.js';

const id = 'somebody/small-model';

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

  it.each(['cut', 'silent'] as const)('asks again for a listing that is %s', async (kind) => {
    const hub = await startHub(smallRepository());
    hub.fail(/tree/, { kind, afterBytes: 1 });
    const pulls = new Pulls(hub, { pace: { silentMs: 200 } });
    await pulls.pull(id);
    expect(pulls.waits).toHaveLength(1);
    expect(hub.asked(/tree/)).toHaveLength(2);
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
      message: expect.stringMatching(/needs 1 GiB and .* has 512 MiB free/),
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
