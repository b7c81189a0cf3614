/**
 * The standard health service, `grpc.health.v1`. All services of a server have the same health: SERVING while the door
 * is open, NOT_SERVING from the moment it begins to stop.
 */

import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { healthService } from '../../proto/contract.js';
import { takesEncodedAnswers } from './answer-size.js';
import { checkedDecoding } from './checked-decoding.js';

type ServingStatus = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

interface Asked {
  readonly service: string;
}

interface Answer {
  readonly status: ServingStatus;
}

type Watcher = ServerWritableStream<Asked, Answer>;

/** The health of the services, with the watchers that get its changes. */
export class Health {
  readonly #services: ReadonlySet<string>;
  #status: ServingStatus = 'SERVING';
  readonly #watchers = new Set<Watcher>();

  /** @param services full names; the empty name of the whole server is added */
  constructor(services: readonly string[]) {
    this.#services = new Set(['', ...services]);
  }

  addTo(server: Server): void {
    server.addService(takesEncodedAnswers(checkedDecoding(healthService)), {
      Check: ({ request }: ServerUnaryCall<Asked, Answer>, answer: sendUnaryData<Answer>) => {
        if (this.#services.has(request.service)) answer(null, { status: this.#status });
        else
          answer({
            code: status.NOT_FOUND,
            details: 'there is no such service; use an empty name for the whole server',
          });
      },
      Watch: (call: Watcher) => {
        if (!this.#services.has(call.request.service)) {
          // A later server may have this service, so the call stays open and the watcher decides how long it waits.
          call.write({ status: 'SERVICE_UNKNOWN' });
          return;
        }
        this.#watchers.add(call);
        call.on('cancelled', () => this.#watchers.delete(call));
        call.write({ status: this.#status });
      },
      List: (_call: unknown, answer: sendUnaryData<{ readonly statuses: Readonly<Record<string, Answer>> }>) => {
        const all = [...this.#services].map((name) => [name, { status: this.#status }] as const);
        answer(null, { statuses: Object.fromEntries(all) });
      },
    });
  }

  /** Reports that the services take no new calls from now on. */
  stop(): void {
    this.#status = 'NOT_SERVING';
    for (const watcher of this.#watchers) watcher.write({ status: this.#status });
  }
}
