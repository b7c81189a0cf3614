/** What a pull tells while it runs. */

import type { Choice } from './choose.js';

export type HubEvent =
  /** The form that was chosen, before anything is fetched. `bytes` is what must still be fetched. */
  | {
      readonly type: 'chosen';
      readonly id: string;
      readonly choice: Choice;
      readonly bytes: number;
      readonly license: string | undefined;
    }
  /** Bytes that are there of those of all files. */
  | { readonly type: 'progress'; readonly done: number; readonly total: number }
  /** Something went wrong, or another process is first; it is tried again after `waitMs`. */
  | { readonly type: 'waiting'; readonly why: string; readonly waitMs: number }
  /** The result is another than was hoped for. */
  | { readonly type: 'warning'; readonly message: string };

export type OnHubEvent = (event: HubEvent) => void;
