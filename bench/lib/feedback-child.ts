/** A process that sends scores, through the project's client or, as the same messages, through the gRPC library alone. */

import { once } from 'node:events';
import { Client, credentials } from '@grpc/grpc-js';
import { connect, type FeedbackStream, type HoneClient } from '../../client/index.js';
import { services } from '../../proto/contract.js';
import type { StreamFeedbackRequest } from '../../proto/generated/hone/v1/StreamFeedbackRequest.js';
import {
  type FeedbackTask,
  feedbackItem,
  feedbackMessage,
  type LoadResult,
  messagesOf,
  runLoad,
  unansweredPerStream,
} from './feedback-load.js';

type Messages = Iterable<readonly [number, number]>;
/** The prepared messages, by the number of their first item. */
type ReadyMessages = ReadonlyMap<number, StreamFeedbackRequest>;

const requestOf = (from: number, to: number): StreamFeedbackRequest => ({
  items: Array.from({ length: to - from }, (_, i) => feedbackMessage(from + i)),
});

/** Sends over one stream of the client. @returns the number of items stored */
async function score(client: HoneClient, messages: Messages, maxItemsPerMessage: number): Promise<number> {
  const stream: FeedbackStream = client.feedbackStream({ maxItemsPerMessage });
  let stored = 0;
  for (const [from, to] of messages) {
    await stream.ready();
    for (let n = from; n < to; n++) {
      void stream.send(feedbackItem(n)).then(({ status }) => {
        if (status === 'stored') stored += 1;
      });
    }
  }
  await stream.close();
  return stored;
}

/** Sends prepared messages over one bare call, with as many unanswered items as the client allows. */
async function echo(client: Client, messages: Messages, ready: ReadyMessages): Promise<number> {
  const { path, requestSerialize, responseDeserialize } = services.feedback.StreamFeedback;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  let sent = 0;
  let stored = 0;
  let roomFor: (() => void) | undefined;
  call.on('data', ({ outcomes }) => {
    stored += outcomes.length;
    roomFor?.();
  });
  const ended = once(call, 'end');
  for (const [from, to] of messages) {
    while (sent - stored >= unansweredPerStream) {
      await new Promise<void>((resolve) => {
        roomFor = resolve;
      });
    }
    sent += to - from;
    if (!call.write(ready.get(from) as StreamFeedbackRequest)) await once(call, 'drain');
  }
  call.end();
  await ended;
  return stored;
}

async function perform({ type, address, load }: FeedbackTask): Promise<LoadResult> {
  if (type === 'score') {
    const client = await connect({ address });
    const result = await runLoad(load, (messages) => score(client, messages, load.itemsPerMessage));
    client.close();
    return result;
  }
  const client = new Client(address, credentials.createInsecure());
  const ready: ReadyMessages = new Map([...messagesOf(load)].map(([from, to]) => [from, requestOf(from, to)]));
  const result = await runLoad(load, (messages) => echo(client, messages, ready));
  client.close();
  return result;
}

process.on('message', (task: FeedbackTask) => {
  perform(task).then(
    (reply) => process.send?.(reply),
    (error: unknown) =>
      process.send?.({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
