/**
 * The interface of all engines that are compared: Hone's policy, its server, and the peers. An engine completes requests
 * greedily and returns the time of each token. All figures are computed from these times.
 */

import { median } from './statistics.js';

export interface EngineRequest {
  readonly promptTokens: readonly number[];
  /** Number of tokens to generate. The end-of-sequence token does not end a completion. */
  readonly maxTokens: number;
  /** Milliseconds from the start of the run. */
  readonly startAtMs: number;
}

/** One completion. Times are milliseconds from the start of the run. */
export interface EngineRow {
  readonly startedAtMs: number;
  readonly tokens: readonly number[];
  /** Time of each token. */
  readonly atMs: readonly number[];
}

export interface Engine {
  /** Name and settings, to print. */
  readonly about: string;
  /** Runs the requests concurrently. Each starts at its time. */
  run(requests: readonly EngineRequest[]): Promise<readonly EngineRow[]>;
  close(): Promise<void>;
}

/** Runs each request at its time. `start` pushes the tokens as they come. */
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

/** The time in which all rows decode: from the latest first token to the earliest last one. The end may be before the start. */
function jointly(rows: readonly EngineRow[]): { readonly from: number; readonly to: number } {
  return { from: Math.max(...rows.map(firstAt)), to: Math.min(...rows.map(lastAt)) };
}

/** Whether all rows decoded at the same time. On a busy machine, one short completion may end before another starts. */
export function decodedJointly(rows: readonly EngineRow[]): boolean {
  const { from, to } = jointly(rows);
  return to > from;
}

/** Returns the tokens per second of all rows together, during the time in which all of them decode. */
export function jointRate(rows: readonly EngineRow[]): number {
  const { from, to } = jointly(rows);
  const tokens = rows.reduce((sum, { atMs }) => sum + atMs.filter((at) => at > from && at <= to).length, 0);
  return (1000 * tokens) / (to - from);
}

/** Returns the tokens per second of all rows together, from the first request to the last token. */
export function overallRate(rows: readonly EngineRow[]): number {
  const from = Math.min(...rows.map(({ startedAtMs }) => startedAtMs));
  const tokens = rows.reduce((sum, row) => sum + row.tokens.length, 0);
  return (1000 * tokens) / (Math.max(...rows.map(lastAt)) - from);
}

/** Returns the median time from a request to its first token. */
export function firstTokenMs(rows: readonly EngineRow[]): number {
  return median(rows.map((row) => firstAt(row) - row.startedAtMs));
}

/** Returns the median time from a request to its last token. */
export function completionMs(rows: readonly EngineRow[]): number {
  return median(rows.map((row) => lastAt(row) - row.startedAtMs));
}

/** Counts the tokens of completions, and those before the first difference from other completions. */
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
