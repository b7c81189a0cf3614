/** The cache serves without the hub, keeps what it has, and is never half of anything. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listModels, noteServed, removeModel } from '../../../src/hub/index.js';
import { commit, smallRepository, startHub } from '../../support/hub.js';
import { Pulls } from '../../support/hub-pulls.js';

const id = 'somebody/small-model';

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

  it('is not enough for fewer bits if it lacks the form that they are made from', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    await pulls.pull(`${id}:q4`);
    const conditions = { memoryBytes: 2 ** 30, bits: 8 } as const;
    expect(await pulls.pull(id, { refresh: false, conditions })).toMatchObject({
      choice: { variant: { name: 'fp32' } },
    });
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
