/** What an attack is, and what it may use. */

import { setTimeout as delay } from 'node:timers/promises';
import { FrameConnection } from './frame-connection.js';
import { GrpcConnection, type Outcomes } from './grpc-connection.js';

/** How long an answer is waited for. */
const patienceMs = 10_000;

/** A way to disturb the server with one request at a time, or with one connection. */
export interface Attack {
  readonly name: string;
  /** Whether the server has a token that the attacker does not know. Default false. */
  readonly withoutToken?: boolean;
  /** Does its worst once. It is called again and again; it must not throw. */
  round(target: Target): Promise<void>;
}

/** The server under attack. */
export class Target {
  readonly address: string;
  readonly metricsUrl: string | null;
  /** Generations of the server that may be scored and edited. */
  readonly generationIds: readonly string[];
  /** Aborts when the attack is over: a round that would go on for ever ends then. */
  readonly over: AbortSignal;
  /** How the calls ended. */
  readonly outcomes: Outcomes = {};
  #grpc: GrpcConnection | undefined;

  constructor(address: string, metricsUrl: string | null, generationIds: readonly string[], over: AbortSignal) {
    this.address = address;
    this.metricsUrl = metricsUrl;
    this.generationIds = generationIds;
    this.over = over;
  }

  /** The attacker's connection, which is made again if the server has closed it. */
  grpc(): GrpcConnection {
    if (this.#grpc?.isUsable !== true) this.#grpc = new GrpcConnection(this.address, this.outcomes);
    return this.#grpc;
  }

  /** A connection for frames that are written by hand. */
  frames(options?: { readonly starts?: boolean }): Promise<FrameConnection> {
    return FrameConnection.open(this.address, options);
  }

  id(index: number): string {
    return this.generationIds[index % Math.max(1, this.generationIds.length)] ?? unknownId(index);
  }

  /** Waits until the server answers a health check on a connection of its own, but not for ever: it may take no more. */
  async answered(): Promise<void> {
    const answer = this.grpc().call('/grpc.health.v1.Health/Check', Buffer.alloc(0));
    const tooLate = delay(patienceMs, 'no answer', { ref: false });
    if ((await Promise.race([answer, tooLate])) === 'no answer') {
      this.outcomes['no answer'] = (this.outcomes['no answer'] ?? 0) + 1;
    }
  }

  close(): void {
    this.#grpc?.close();
  }
}

/** An id in the form of the server's, of a generation that does not exist. */
export function unknownId(index: number): string {
  return `019b0000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;
}

export const path = (service: string, method: string): string => `/hone.v1.${service}/${method}`;
