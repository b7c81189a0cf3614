/**
 * A process that answers a stream of feedback and does nothing else. It shows the highest rate that the gRPC library
 * allows with the contract's messages. It answers all items of a turn of the event loop in one message: no server can
 * send fewer messages.
 */

import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { serviceDefinition } from '../../proto/contract.js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { StreamFeedbackRequest__Output } from '../../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse } from '../../proto/generated/hone/v1/StreamFeedbackResponse.js';

function echo(call: ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>): void {
  let position = 0;
  let outcomes: FeedbackOutcome[] = [];
  const answer = (): void => {
    if (outcomes.length > 0) call.write({ outcomes });
    outcomes = [];
  };
  call.on('data', ({ items }: StreamFeedbackRequest__Output) => {
    if (outcomes.length === 0) setImmediate(answer);
    for (let i = 0; i < items.length; i++) {
      outcomes.push({ position, status: 'FEEDBACK_STATUS_STORED', sequence: position + 1 });
      position += 1;
    }
  });
  call.on('end', () => {
    answer();
    call.end();
  });
}

const server = new Server();
server.addService(serviceDefinition('FeedbackService'), { StreamFeedback: echo });
process.once('message', () => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    process.send?.(error === null ? { address: `127.0.0.1:${port}` } : { type: 'failed', message: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
