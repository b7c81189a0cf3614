/**
 * What is compared: engines that complete requests greedily and tell when each token came. Hone's own, its gRPC door
 * and every peer stand behind the same interface, and every figure is computed from the same times.
 */

import { median } from './statistics.js';

export interface EngineRequest {
  readonly promptTokens: readonly number[];
  /** As many are generated: the end-of-sequence token does not end a completion. */
  readonly maxTokens: number;
  /** After the start of the run. */
  readonly startAtMs: number;
}

/** One completion. Times are milliseconds since the run began. */
export interface EngineRow {
  readonly startedAtMs: number;
  readonly tokens: readonly number[];
  /** When each token came. */
  readonly atMs: readonly number[];
}

export interface Engine {
  /** Name and settings, for people. */
  readonly about: string;
  /** Runs the requests concurrently, each when it is due. */
  run(requests: readonly EngineRequest[]): Promise<readonly EngineRow[]>;
  close(): Promise<void>;
}

/** Runs each request when it is due. `start` pushes tokens as they come. */
export function runWhenDue<Request extends { readonly startAtMs: number }>(
  requests: readonly Request[],
  start: (request: Request, push: (tokens: readonly number[]) => void, index: number) => Promise<void>,
): Promise<EngineRow[]> {
  const began = performance.now();
  const elapsed = (): number => performance.now() - began;
  return Promise.all(
    requests.map(async (request, index) => {
      if (request.startAtMs > 0) await new Promise((resolve) => setTimeout(resolve, request.startAtMs));
      const startedAtMs = elapsed();
      const tokens: number[] = [];
      const atMs: number[] = [];
      await start(
        request,
        (arrived) => {
          const now = elapsed();
          for (const token of arrived) {
            tokens.push(token);
            atMs.push(now);
          }
        },
        index,
      );
      if (tokens.length === 0) throw new Error('a completion ended without a token');
      return { startedAtMs, tokens, atMs };
    }),
  );
}

const firstAt = ({ atMs }: EngineRow): number => atMs[0] as number;
const lastAt = ({ atMs }: EngineRow): number => atMs[atMs.length - 1] as number;

/** While all rows decode: from the last one's first token to the first one's last. Ends before it begins where they never do. */
function jointly(rows: readonly EngineRow[]): { readonly from: number; readonly to: number } {
  return { from: Math.max(...rows.map(firstAt)), to: Math.min(...rows.map(lastAt)) };
}

/** Whether there was a time in which all rows decoded. On a machine that does much else, short completions may miss each other. */
export function decodedJointly(rows: readonly EngineRow[]): boolean {
  const { from, to } = jointly(rows);
  return to > from;
}

/** Tokens per second, all rows together, while all of them decode: of rows that did. */
export function jointRate(rows: readonly EngineRow[]): number {
  const { from, to } = jointly(rows);
  const tokens = rows.reduce((sum, { atMs }) => sum + atMs.filter((at) => at > from && at <= to).length, 0);
  return (1000 * tokens) / (to - from);
}

/** Tokens per second, all rows together, from the first request to the last token. */
export function overallRate(rows: readonly EngineRow[]): number {
  const from = Math.min(...rows.map(({ startedAtMs }) => startedAtMs));
  const tokens = rows.reduce((sum, row) => sum + row.tokens.length, 0);
  return (1000 * tokens) / (Math.max(...rows.map(lastAt)) - from);
}

/** Median over the rows of the time from a request to its first token. */
export function firstTokenMs(rows: readonly EngineRow[]): number {
  return median(rows.map((row) => firstAt(row) - row.startedAtMs));
}

/** Median over the rows of the time from a request to its last token. */
export function completionMs(rows: readonly EngineRow[]): number {
  return median(rows.map((row) => lastAt(row) - row.startedAtMs));
}

/** How many tokens two completions share from the start on, and out of how many. */
export function agreement(
  rows: readonly EngineRow[],
  others: readonly EngineRow[],
): { readonly agreed: number; readonly compared: number } {
  let agreed = 0;
  let compared = 0;
  for (const [i, { tokens }] of rows.entries()) {
    const theirs = others[i]?.tokens ?? [];
    const different = tokens.findIndex((token, at) => token !== theirs[at]);
    agreed += different === -1 ? tokens.length : different;
    compared += tokens.length;
  }
  return { agreed, compared };
}
