/** The thread that is started before it is known what it serves. */

import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { loadPackage } from '../../../src/package/index.js';
import { openPolicy, WorkerHandle } from '../../../src/policy/index.js';
import { collect, makeVersion, request } from '../../support/policy/policy.js';
import { tinyDirectory } from '../../support/tiny.js';

/** A thread and its handle. */
async function start(): Promise<{ handle: WorkerHandle; thread: Worker }> {
  const announced = once(process, 'worker') as Promise<[Worker]>;
  const handle = new WorkerHandle();
  return { handle, thread: (await announced)[0] };
}

describe('a worker that was started ahead', () => {
  test('loads its code, and serves the policy that opens it; the policy starts no other', async () => {
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

  test('ends where nothing is opened, loaded or not', async () => {
    const { handle } = await start();
    await handle.close();
    const second = (await start()).handle;
    await second.loaded;
    await second.close();
  });

  test('that died before is refused with its cause when it is opened', async () => {
    const { handle, thread } = await start();
    await handle.loaded;
    await thread.terminate();
    const pkg = await loadPackage(tinyDirectory);
    const opening = openPolicy({ pkg, version: await makeVersion(pkg, 0, 0), worker: handle });
    await expect(opening).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
  });
});
