/**
 * The standard health service, `grpc.health.v1`. All services of a server are of the same health: they take calls from the
 * moment the door is open, and from the moment it begins to stop they do not.
 */

import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { healthService } from '../../proto/contract.js';
import { readable } from './readable.js';

type ServingStatus = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

interface Asked {
  readonly service: string;
}

interface Answer {
  readonly status: ServingStatus;
}

type Watcher = ServerWritableStream<Asked, Answer>;

/** What the services say of themselves, and to whom it is told when it changes. */
export class Health {
  readonly #services: ReadonlySet<string>;
  #status: ServingStatus = 'SERVING';
  readonly #watchers = new Set<Watcher>();

  /** @param services full names; the empty one, which stands for the whole server, is among them by itself */
  constructor(services: readonly string[]) {
    this.#services = new Set(['', ...services]);
  }

  addTo(server: Server): void {
    server.addService(readable(healthService), {
      Check: ({ request }: ServerUnaryCall<Asked, Answer>, answer: sendUnaryData<Answer>) => {
        if (this.#services.has(request.service)) answer(null, { status: this.#status });
        else answer({ code: status.NOT_FOUND, details: 'there is no such service; an empty name is the whole server' });
      },
      Watch: (call: Watcher) => {
        if (!this.#services.has(call.request.service)) {
          // It may become known to a server that is started later: the watcher decides how long to wait.
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

  /** From now on the services take no new calls. */
  stop(): void {
    this.#status = 'NOT_SERVING';
    for (const watcher of this.#watchers) watcher.write({ status: this.#status });
  }
}
