/** A worker thread that is started before its package is known. */

import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { loadPackage } from '../../../src/package/index.js';
import { openPolicy, WorkerHandle } from '../../../src/policy/index.js';
import { collect, makeVersion, request } from '../../support/policy/policy.js';
import { tinyDirectory } from '../../support/tiny.js';

/** Starts a thread and returns it with its handle. */
async function start(): Promise<{ handle: WorkerHandle; thread: Worker }> {
  const announced = once(process, 'worker') as Promise<[Worker]>;
  const handle = new WorkerHandle();
  return { handle, thread: (await announced)[0] };
}

describe('a worker that was started early', () => {
  test('loads its code and serves the policy that opens it, which starts no other worker', async () => {
    const { handle, thread } = await start();
    await handle.loaded;
    let others = 0;
    const count = () => {
      others += 1;
    };
    process.on('worker', count);
    const pkg = await loadPackage(tinyDirectory);
    const policy = await openPolicy({ pkg, version: await makeVersion(pkg, 0, 0), worker: handle });
    process.removeListener('worker', count);
    expect(others).toBe(0);
    const ended = once(thread, 'exit');
    expect((await collect(policy.complete(request([1])))).version).toBe(0);
    await policy.close();
    await ended;
    await handle.close();
  });

  test('can be closed without being opened, before or after it has loaded its code', async () => {
    const { handle } = await start();
    await handle.close();
    const second = (await start()).handle;
    await second.loaded;
    await second.close();
  });

  test('cannot be opened after it has died', async () => {
    const { handle, thread } = await start();
    await handle.loaded;
    await thread.terminate();
    const pkg = await loadPackage(tinyDirectory);
    const opening = openPolicy({ pkg, version: await makeVersion(pkg, 0, 0), worker: handle });
    await expect(opening).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
  });
});
