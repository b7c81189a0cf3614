/**
 * A study as a list of cells. A cell is a key and an input that is plain JSON; it is computed by a function of a
 * module in a child process of its own, `workers` of them at a time, and its result is kept as soon as it is there. A run
 * that was interrupted - by a signal, a crash, a limit on cells - goes on where it stopped; a cell whose input changed is
 * computed anew. Code is not part of the fingerprint: after a change of what a cell computes, begin anew (`--fresh`).
 */

import { fileURLToPath } from 'node:url';
import { type Child, startChild } from '../../bench/lib/child-process.js';
import { type CellOutcome, CellStore, fingerprintOf } from './cell-store.js';

export interface Cell<Input> {
  /** Unique in its study and mode, readable: `copg/beta-0.1/seed-2`. */
  readonly key: string;
  /** Everything that the result depends on, as JSON. */
  readonly input: Input;
}

/** What a module of cells exports. It runs in a child process, on one thread if it keeps to its part of the bargain. */
export interface CellModule<Input, Result> {
  /** Computes one cell. The result is JSON. */
  readonly runCell: (input: Input) => Promise<Result>;
}

export interface CellRun<Input> {
  /** Name of the file of results. */
  readonly name: string;
  readonly cells: readonly Cell<Input>[];
  /** The compiled module that exports `runCell` (`new URL('./lib/bandit-cell.js', import.meta.url)`). */
  readonly module: URL;
  /** Child processes at a time. */
  readonly workers: number;
  /** Where results are kept; not under version control. */
  readonly folder: string;
  /** Forget what earlier runs left. Default false. */
  readonly fresh?: boolean;
  /** Compute only cells whose key contains this. Default all. */
  readonly only?: string;
  /** Compute at most so many cells. Default all. */
  readonly atMost?: number;
  /** Told what goes on, a line at a time. */
  readonly say?: (line: string) => void;
}

/** The cells that are there, in the order of the list, and the keys of those that are not. */
export interface CellResults<Result> {
  readonly outcomes: readonly CellOutcome<Result>[];
  readonly missing: readonly string[];
  /** How many this run computed. */
  readonly computed: number;
  /** Why cells failed, as sentences. */
  readonly failures: readonly string[];
}

/** What the child is sent. */
export interface CellTask {
  readonly module: string;
  readonly input: unknown;
}

const childScript = fileURLToPath(new URL('./cell-child.js', import.meta.url));

/** Computes what is missing and brings everything that there is. A cell that fails stops no other. */
export async function runCells<Input, Result>(run: CellRun<Input>): Promise<CellResults<Result>> {
  const { cells, only = '', say = () => {} } = run;
  const store = new CellStore(`${run.folder}/${run.name}.jsonl`, run.fresh);
  const find = ({ key, input }: Cell<Input>) => store.get(key, fingerprintOf(input)) as CellOutcome<Result> | undefined;
  const due = cells.filter((cell) => !find(cell) && cell.key.includes(only)).slice(0, run.atMost);
  if (due.length > 0) say(`${run.name}: ${due.length} of ${cells.length} cells to compute`);
  const failures: string[] = [];
  const queue = [...due];
  const seconds: number[] = [];
  const work = async (): Promise<void> => {
    for (let cell = queue.shift(); cell !== undefined; cell = queue.shift()) {
      try {
        const outcome = await computeCell(cell, run.module);
        store.add(fingerprintOf(cell.input), outcome);
        seconds.push(outcome.seconds);
        say(progressLine(run, outcome, seconds, due.length));
      } catch (error) {
        failures.push(`${run.name}: ${cell.key} failed: ${error instanceof Error ? error.message : error}`);
        say(failures.at(-1) as string);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, run.workers) }, work));
  return {
    outcomes: cells.flatMap((cell) => find(cell) ?? []),
    missing: cells.filter((cell) => !find(cell)).map(({ key }) => key),
    computed: seconds.length,
    failures,
  };
}

async function computeCell<Input>({ key, input }: Cell<Input>, module: URL): Promise<CellOutcome<unknown>> {
  const started = performance.now();
  const child: Child = startChild(childScript);
  try {
    const task: CellTask = { module: module.href, input };
    const { result } = await child.ask<{ readonly result: unknown }>(task);
    return { key, seconds: Math.round(performance.now() - started) / 1000, result };
  } finally {
    await child.close();
  }
}

function progressLine(
  { name, workers }: CellRun<unknown>,
  { key, seconds }: CellOutcome<unknown>,
  all: readonly number[],
  due: number,
): string {
  const left = due - all.length;
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  const eta = left > 0 ? `, about ${duration((mean * left) / Math.min(workers, left))} left` : '';
  return `${name}: ${all.length} of ${due}, ${key} took ${duration(seconds)}${eta}`;
}

function duration(seconds: number): string {
  return seconds < 100 ? `${Number(seconds.toPrecision(2))} s` : `${Math.round(seconds / 60)} min`;
}
