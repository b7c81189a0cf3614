/** The gRPC door: services, health and reflection on one address. */

import { logVerbosity, Server, setLogVerbosity } from '@grpc/grpc-js';
import { fullName, serviceDefinition, serviceNames } from '../../proto/contract.js';
import type { Agent } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { adminHandlers } from './admin.js';
import { takesEncodedAnswers } from './answer-size.js';
import type { ReportError } from './calls.js';
import { checkedDecoding } from './checked-decoding.js';
import { listen } from './connections.js';
import { eventHandlers } from './events.js';
import { feedbackHandlers } from './feedback.js';
import { generationHandlers } from './generation.js';
import { Health } from './health.js';
import { createInterceptor, type FinishedCall } from './interceptor.js';
import { learnerHandlers } from './learner.js';
import { addReflection } from './reflection.js';
import { statusHandlers } from './status.js';
import { versionHandlers } from './versions.js';

interface DoorOptions {
  readonly agent: Agent;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly authToken: string | undefined;
  /** Most connections at the same time. */
  readonly maxConnections: number;
  /** Silence after which the connection of a peer that does not answer is closed. */
  readonly keepaliveMs: number;
  /** How long a caller may leave the stream of a request unread. */
  readonly maxStalledMs: number;
  /** Whether reflection is served. */
  readonly reflection: boolean;
  readonly serverVersion: string;
  /** Whether the gRPC library may write to standard error. */
  readonly libraryLog: boolean;
  readonly onCall: (call: FinishedCall) => void;
  readonly report: ReportError;
}

/** Largest message from a client, in bytes. */
const maxReceiveBytes = 4 * 1024 * 1024;

/**
 * Calls of one connection at the same time. Clients let further ones wait. Node refuses one that comes while it still
 * puts away another that has ended; callers read that as RESOURCE_EXHAUSTED.
 */
const maxCallsPerConnection = 512;

/** How long a caller may take to read its last answer when the server stops. */
const lastAnswersMs = 5000;

export interface Door {
  readonly port: number;
  /** Reports to health watchers that the server stops. The door still takes calls. */
  announceStop(): void;
  /**
   * Waits for `served`: until then the agent refuses new requests. Then the door takes no new calls, and those that still
   * run have five more seconds before they are cut.
   */
  close(served: Promise<void>): Promise<void>;
}

/** The descriptors for reflection, made when a tool first asks. */
const describe = async () => (await import('../../proto/description.js')).description;

/** Opens the door. @throws HoneError `INVALID_OPTIONS` if the server cannot listen on the address */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const { agent, report } = options;
  // The library's errors contain what matters of its log.
  if (!options.libraryLog) setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    interceptors: [
      createInterceptor({ identity: () => agent.identity(), authToken: options.authToken, onCall: options.onCall }),
    ],
    'grpc.max_receive_message_length': maxReceiveBytes,
    'grpc.max_concurrent_streams': maxCallsPerConnection,
    // A peer that vanished is noticed within the two together. Its requests are cancelled then.
    'grpc.keepalive_time_ms': Math.ceil((options.keepaliveMs * 2) / 3),
    'grpc.keepalive_timeout_ms': Math.floor(options.keepaliveMs / 3),
    // The library's own record of every connection and call, for a service that is not offered.
    'grpc.enable_channelz': 0,
  });
  const handlers = {
    GenerationService: generationHandlers(agent, report, options.maxStalledMs),
    FeedbackService: feedbackHandlers(agent, report),
    LearnerService: learnerHandlers(agent, report),
    VersionService: versionHandlers(agent, report, options.maxStalledMs),
    EventService: eventHandlers(agent, report),
    StatusService: statusHandlers(agent, options.serverVersion, report),
    AdminService: adminHandlers(agent, report, options.maxStalledMs),
  };
  for (const name of serviceNames)
    server.addService(takesEncodedAnswers(checkedDecoding(serviceDefinition(name))), handlers[name]);
  const names = serviceNames.map(fullName);
  const health = new Health(names);
  health.addTo(server);
  if (options.reflection) addReflection(server, describe, names);
  const onError = (error: Error) => report('a new connection', HoneError.from(error));
  const listener = await listen(server, { ...options, onError });

  return {
    port: listener.port,
    announceStop: () => health.stop(),
    close(served) {
      listener.close();
      return shutDown(server, served);
    },
  };
}

async function shutDown(server: Server, served: Promise<void>): Promise<void> {
  // The library sends GOAWAY when it shuts down. Node refuses to ping on a connection that got one, so a client of the
  // same library that has keepalive on would end its running calls at the next ping. Therefore the calls end first.
  await served;
  // The handlers send the last answers.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => {
    // Watchers of health never end their calls, and a slow reader may never read its last answer. The library also waits
    // for connections that broke off before they began with HTTP/2, and does so even after they have been cut.
    const cut = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, lastAnswersMs);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}
