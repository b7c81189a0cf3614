/** A client of a Hone server in its own process, as an app has. The bench sends it the calls to make. */

import { connect, type HoneClient } from '../../client/index.js';
import type { ClientReply, ClientTask, TextRequest } from './client-process.js';
import { type EngineRow, runWhenDue } from './engine.js';

let client: HoneClient | undefined;
let held: { readonly stop: AbortController; readonly done: Promise<unknown> } | undefined;

async function stream(request: TextRequest, push: (tokens: readonly number[]) => void, signal?: AbortSignal) {
  const { prompt, maxTokens } = request;
  const generation = { prompt, maxTokens, temperature: 0, ignoreEos: true };
  const options = signal === undefined ? {} : { signal };
  for await (const event of opened().stream(generation, options)) if (event.type === 'chunk') push(event.tokenIds);
}

function opened(): HoneClient {
  if (client === undefined) throw new Error('the client is not connected');
  return client;
}

function run(requests: readonly TextRequest[]): Promise<EngineRow[]> {
  return runWhenDue(requests, (request, push) => stream(request, push));
}

/** Makes health checks, one after another. @returns the duration of each */
async function probe(calls: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < calls; i++) {
    const started = performance.now();
    await opened().health();
    times.push(performance.now() - started);
  }
  return times;
}

/** Keeps one stream running for each request; a stream that ends starts again. Resolves when all of them run. */
async function hold(requests: readonly TextRequest[]): Promise<void> {
  const stop = new AbortController();
  const loops = requests.map((request) => {
    let begun: () => void;
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const loop = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        try {
          await stream(request, () => begun(), stop.signal);
        } catch (error) {
          if (!stop.signal.aborted) throw error;
        }
      }
    };
    return { running, ended: loop() };
  });
  const done = Promise.all(loops.map(({ ended }) => ended));
  held = { stop, done };
  await Promise.race([Promise.all(loops.map(({ running }) => running)), done]);
}

async function release(): Promise<void> {
  held?.stop.abort();
  await held?.done;
  held = undefined;
}

async function perform(task: ClientTask): Promise<ClientReply> {
  switch (task.type) {
    case 'connect':
      client = await connect({ address: task.address });
      return { type: 'done' };
    case 'run':
      return { type: 'ran', rows: await run(task.requests) };
    case 'probe':
      return { type: 'probed', times: await probe(task.calls) };
    case 'hold':
      await hold(task.requests);
      return { type: 'done' };
    case 'release':
      await release();
      return { type: 'done' };
  }
}

process.on('message', (task: ClientTask) => {
  perform(task).then(
    (reply) => process.send?.(reply),
    (error: unknown) =>
      process.send?.({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
