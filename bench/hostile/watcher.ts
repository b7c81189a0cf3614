/** Starts the process of another client, and the control server that it compares with. */

import { fileURLToPath } from 'node:url';
import { startChild } from '../lib/child-process.js';

export interface Sample {
  /** A health check, a small call of Hone, or a health check of the control server. */
  readonly of: 'health' | 'unary' | 'control';
  /** Time until the answer. */
  readonly ms: number;
  /** Processor time of the attacked server's event loop meanwhile; null for the control, or without /proc. */
  readonly workMs: number | null;
  /** Status of a call that failed. */
  readonly failed: number | null;
}

export type WatcherTask =
  | {
      readonly type: 'connect';
      readonly address: string;
      readonly control: string;
      /** Process id of the server. */
      readonly pid: number;
      /** Whether only health checks are made, because other calls need a token. */
      readonly onlyHealth: boolean;
    }
  | { readonly type: 'begin'; readonly everyMs: number }
  | { readonly type: 'end' }
  | { readonly type: 'disconnect' };

export type WatcherReply =
  | { readonly type: 'done' }
  | { readonly type: 'watched'; readonly samples: readonly Sample[] };

export interface Watcher {
  connect(server: { readonly address: string; readonly pid: number; readonly onlyHealth?: boolean }): Promise<void>;
  /** Makes calls from now on. */
  begin(everyMs: number): Promise<void>;
  /** Waits for the calls in flight and returns all since {@link begin}. */
  end(): Promise<readonly Sample[]>;
  disconnect(): Promise<void>;
  close(): Promise<void>;
}

export async function startWatcher(): Promise<Watcher> {
  const [child, control] = ['./watcher-child.js', './control-child.js'].map((file) =>
    startChild(fileURLToPath(new URL(file, import.meta.url))),
  ) as [ReturnType<typeof startChild>, ReturnType<typeof startChild>];
  const { address } = await control.ask<{ readonly address: string }>({});
  const tell = async (task: WatcherTask): Promise<void> => {
    await child.ask(task);
  };
  return {
    connect: ({ onlyHealth = false, ...server }) => tell({ type: 'connect', ...server, control: address, onlyHealth }),
    begin: (everyMs) => tell({ type: 'begin', everyMs }),
    end: async () => (await child.ask<{ samples: readonly Sample[] }>({ type: 'end' })).samples,
    disconnect: () => tell({ type: 'disconnect' }),
    async close() {
      await child.close();
      await control.close();
    },
  };
}
