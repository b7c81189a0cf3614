/** Starts the process of the attacker and gives it orders. */

import { fileURLToPath } from 'node:url';
import { startChild } from '../lib/child-process.js';
import type { CustomAttack } from './custom-attack.js';
import type { Outcomes } from './grpc-connection.js';

export type AttackerTask =
  | { readonly type: 'prepare'; readonly address: string }
  | {
      readonly type: 'attack';
      /** A name of the list, or an attack of the caller's own. */
      readonly attack: string | CustomAttack;
      readonly address: string;
      readonly metricsUrl: string | null;
      /** How long rounds begin. There is at least one. */
      readonly forMs: number;
    };

export interface Attacked {
  readonly rounds: number;
  readonly outcomes: Outcomes;
}

export type AttackerReply = { readonly type: 'prepared' } | ({ readonly type: 'attacked' } & Attacked);

export interface Attacker {
  /** Makes some generations, to be scored and edited later. */
  prepare(address: string): Promise<void>;
  /** Resolves when the last round has ended. */
  attack(order: Omit<Extract<AttackerTask, { type: 'attack' }>, 'type'>): Promise<Attacked>;
  close(): Promise<void>;
}

export function startAttacker(): Attacker {
  const child = startChild(fileURLToPath(new URL('./attacker-child.js', import.meta.url)));
  return {
    async prepare(address) {
      await child.ask({ type: 'prepare', address });
    },
    attack: (order) => child.ask<Attacked>({ type: 'attack', ...order }),
    close: () => child.close(),
  };
}
