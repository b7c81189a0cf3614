/** A server that is killed while it stops. */

import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/folders.js';
import { startServer } from '../support/server.js';

/** Kills the process when it closes a thread and the store has closed, which removes the log. */
const killedAfterStore = (logPath: string) => `
  import { existsSync } from 'node:fs';
  import { Worker } from 'node:worker_threads';
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message?.type === 'close' && !existsSync(${JSON.stringify(logPath)})) process.kill(process.pid, 'SIGKILL');
    return post.call(this, message, ...rest);
  };`;

it('a server that is killed after its store has closed does not look like one whose store lost its log', async () => {
  const data = temporaryFolder();
  const hook = join(temporaryFolder(), 'hook.mjs');
  writeFileSync(hook, killedAfterStore(join(data, 'replay.sqlite-wal')));
  {
    await using server = await startServer({ data, env: { NODE_OPTIONS: `--import=${pathToFileURL(hook)}` } });
    const client = await server.connect();
    await client.generate({ prompt: 'once', maxTokens: 4 });
    client.close();
    const ended = once(server.process, 'exit');
    server.process.kill('SIGTERM');
    expect(await ended).toEqual([null, 'SIGKILL']);
  }
  expect(existsSync(join(data, 'replay.sqlite-wal'))).toBe(false);
  await using next = await startServer({ data });
  expect((await (await next.connect()).status()).replay.finished).toBe(1);
  expect(next.log()).not.toContain('replay.sqlite-wal was missing');
});
