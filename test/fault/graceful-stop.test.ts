/** A graceful stop finishes what was accepted, whatever keepalive its callers have on. */

import { afterEach, beforeEach, expect, it } from 'vitest';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { type SilentProxy, startProxy } from '../support/proxy.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

let server: TestServer;
let proxy: SilentProxy;
beforeEach(async () => {
  server = await startServer({ args: [...(await endlessArgs()), '--drain-grace-ms', '120000'] });
  proxy = await startProxy(server.ready.address);
});
afterEach(async () => {
  proxy.close();
  await server[Symbol.asyncDispose]();
});

it('an accepted stream arrives whole though its client pings again and again while the server stops', async () => {
  // A ping every 4 s, with two seconds for its answer, also on a busy machine.
  const client = await server.connect({ address: proxy.address, keepaliveMs: 6000 });
  const stream = client.stream(endlessRequest);
  await stream.next();
  const stopped = new Promise<number | null>((resolve) => server.process.once('exit', resolve));
  server.process.kill('SIGTERM');
  await until(() => server.log().includes('stopping'), 'the server stops');
  // The request waits for its reader meanwhile, so the client sends nothing but pings.
  const before = proxy.sent;
  await until(() => proxy.sent >= before + 2 || proxy.closed > 0, 'two pings have passed');
  let last = '';
  let tokens = 0;
  for await (const event of stream) {
    last = event.type;
    if (event.type === 'chunk') tokens += event.tokenIds.length;
  }
  expect(last).toBe('usage');
  expect(tokens).toBe(endlessRequest.n * endlessRequest.maxTokens);
  expect(await stopped).toBe(0);
});
