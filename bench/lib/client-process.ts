/** Starts a client process and calls it. */

import { fileURLToPath } from 'node:url';
import { startChild } from './child-process.js';
import type { EngineRow } from './engine.js';

export interface TextRequest {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly startAtMs: number;
}

export type ClientTask =
  | { readonly type: 'connect'; readonly address: string }
  | { readonly type: 'run'; readonly requests: readonly TextRequest[] }
  | { readonly type: 'probe'; readonly calls: number }
  | { readonly type: 'hold'; readonly requests: readonly TextRequest[] }
  | { readonly type: 'release' };

export type ClientReply =
  | { readonly type: 'done' }
  | { readonly type: 'ran'; readonly rows: readonly EngineRow[] }
  | { readonly type: 'probed'; readonly times: readonly number[] };

export interface ClientProcess {
  /** Streams the completions concurrently. Times are those at which tokens reached the client. */
  run(requests: readonly TextRequest[]): Promise<readonly EngineRow[]>;
  /** Makes health checks, one after another. @returns the duration of each, in milliseconds */
  probe(calls: number): Promise<readonly number[]>;
  /** Keeps streams running until `release`; a stream that ends starts again. Resolves when all of them run. */
  hold(requests: readonly TextRequest[]): Promise<void>;
  release(): Promise<void>;
  close(): Promise<void>;
}

/** @throws Error if no server answers at the address */
export async function startClientProcess(address: string): Promise<ClientProcess> {
  const child = startChild(fileURLToPath(new URL('./client-child.js', import.meta.url)));
  const tell = async (task: ClientTask): Promise<void> => {
    await child.ask<ClientReply>(task);
  };
  try {
    await tell({ type: 'connect', address });
  } catch (error) {
    await child.close();
    throw error;
  }
  return {
    run: async (requests) => (await child.ask<{ rows: EngineRow[] }>({ type: 'run', requests })).rows,
    probe: async (calls) => (await child.ask<{ times: number[] }>({ type: 'probe', calls })).times,
    hold: (requests) => tell({ type: 'hold', requests }),
    release: () => tell({ type: 'release' }),
    close: () => child.close(),
  };
}
