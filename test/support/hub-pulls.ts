/** Pulls from a hub of the test into a cache of its own, without waiting. */

import { join } from 'node:path';
import {
  fetchOrFind,
  type HubEvent,
  parseModelName,
  type RequestPace,
  type ResolveOptions,
} from '../../src/hub/index.js';
import { temporaryFolder } from './folders.js';
import type { TestHub } from './hub.js';

/** Settings, conditions and what is collected of a pull. */
export class Pulls {
  readonly events: HubEvent[] = [];
  readonly waits: number[] = [];
  readonly cacheDirectory = join(temporaryFolder(), 'hub');
  readonly options: ResolveOptions;

  constructor(
    hub: Pick<TestHub, 'endpoint'>,
    more: { token?: string; offline?: boolean; pace?: Partial<RequestPace> } = {},
  ) {
    this.options = {
      settings: {
        endpoint: hub.endpoint,
        token: more.token,
        cacheDirectory: this.cacheDirectory,
        offline: more.offline ?? false,
      },
      conditions: { memoryBytes: 2 ** 30 },
      refresh: true,
      signal: new AbortController().signal,
      onEvent: (event) => this.events.push(event),
      pace: {
        waitsMs: [1, 2, 4],
        longestWaitMs: 60_000,
        silentMs: 30_000,
        wait: async (ms) => this.waits.push(ms),
        ...more.pace,
      },
    };
  }

  pull(text: string, more: Partial<ResolveOptions> = {}) {
    const name = parseModelName(text);
    if (name === undefined) throw new Error(`${text} is no name`);
    return fetchOrFind(name, { ...this.options, ...more });
  }

  /** The reasons of waits and warnings. */
  get said(): string {
    return this.events
      .map((one) => (one.type === 'waiting' ? one.why : one.type === 'warning' ? one.message : ''))
      .join('\n');
  }
}
