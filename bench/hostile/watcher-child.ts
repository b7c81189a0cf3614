/**
 * The process of another client, who only wants short answers. It makes calls at fixed times, whether earlier ones were
 * answered or not, so that a server that is deaf for a second is seen by all calls of that second.
 *
 * Each time it also asks a control server, which nobody attacks. What the control server's answers take is the machine's
 * fault. Besides the time, it notes how much processor time the thread of the attacked server's event loop used while
 * the call waited: that is the work that stood before the call, however busy the machine was.
 */

import { readFileSync } from 'node:fs';
import { Client, credentials } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { healthService, serviceDefinition } from '../../proto/contract.js';
import type { Sample, WatcherReply, WatcherTask } from './watcher.js';

/** A call that is not answered within this time counts as never answered. */
const longestMs = 120_000;
/** /proc counts processor time in hundredths of a second. */
const tickMs = 10;

interface Watching {
  readonly calls: readonly { readonly kind: Sample['of']; readonly client: Client; readonly method: Method }[];
  readonly pid: number;
}

type Method = MethodDefinition<object, object>;

const check = healthService.Check as Method;
const mode = serviceDefinition('AdminService').GetMode as Method;

let watching: Watching | undefined;
let timer: NodeJS.Timeout | undefined;
let samples: Sample[] = [];
let waiting = new Set<Promise<void>>();

function open(task: Extract<WatcherTask, { type: 'connect' }>): Watching {
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const watched = new Client(task.address, credentials.createInsecure(), options);
  const control = new Client(task.control, credentials.createInsecure(), options);
  return {
    pid: task.pid,
    calls: [
      { kind: 'health', client: watched, method: check },
      // With a token in the way, only the health service answers.
      ...(task.onlyHealth ? [] : [{ kind: 'unary' as const, client: watched, method: mode }]),
      { kind: 'control', client: control, method: check },
    ],
  };
}

/** Processor time of the thread of the event loop, in milliseconds; null on a system without /proc. */
function loopMs(pid: number): number | null {
  try {
    const line = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * tickMs;
  } catch {
    return null;
  }
}

function ask({ calls, pid }: Watching): Promise<unknown> {
  const workBefore = loopMs(pid);
  const asked = calls.map(({ kind, client, method }) => {
    const startedAt = performance.now();
    return new Promise<void>((resolve) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        {},
        { deadline: Date.now() + longestMs },
        (error) => {
          const workAfter = kind === 'control' ? null : loopMs(pid);
          const workMs = workBefore === null || workAfter === null ? null : workAfter - workBefore;
          samples.push({ of: kind, ms: performance.now() - startedAt, workMs, failed: error?.code ?? null });
          resolve();
        },
      );
    });
  });
  for (const one of asked) {
    waiting.add(one);
    void one.then(() => waiting.delete(one));
  }
  return Promise.all(asked);
}

function askAgain(): void {
  if (watching !== undefined) void ask(watching);
}

async function perform(task: WatcherTask): Promise<WatcherReply> {
  switch (task.type) {
    case 'connect':
      watching = open(task);
      // The first calls make the connections.
      for (let i = 0; i < 20; i++) await ask(watching);
      return { type: 'done' };
    case 'begin':
      samples = [];
      waiting = new Set();
      timer = setInterval(askAgain, task.everyMs);
      askAgain();
      return { type: 'done' };
    case 'end': {
      clearInterval(timer);
      // Work that the attack has left behind is seen by this one.
      askAgain();
      await Promise.all(waiting);
      return { type: 'watched', samples };
    }
    case 'disconnect':
      for (const { client } of watching?.calls ?? []) client.close();
      watching = undefined;
      return { type: 'done' };
  }
}

process.on('message', (task: WatcherTask) => {
  perform(task).then(
    (reply) => process.send?.(reply),
    (error: unknown) =>
      process.send?.({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
