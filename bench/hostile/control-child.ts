/** A process that answers health checks through the gRPC library and does nothing else. Nobody attacks it. */

import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import { healthService } from '../../proto/contract.js';

const server = new Server();
server.addService(healthService, {
  Check: (_call: unknown, answer: sendUnaryData<object>) => answer(null, { status: 'SERVING' }),
  Watch: () => undefined,
  List: (_call: unknown, answer: sendUnaryData<object>) => answer(null, { statuses: {} }),
});
process.once('message', () => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    process.send?.(error === null ? { address: `127.0.0.1:${port}` } : { type: 'failed', message: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
