/**
 * Computes the cells of a study. A cell is a key and an input in plain JSON. A function of a module computes it in its
 * own child process, `workers` of them at a time, and the result is kept at once. After an interruption (a signal, a
 * crash, a limit on cells) the next run continues. A cell whose input has changed is computed again. A change of the code
 * is not noticed: start again with `--fresh` after a change of what a cell computes.
 */

import { fileURLToPath } from 'node:url';
import { type Child, startChild } from '../../bench/lib/child-process.js';
import { type CellOutcome, CellStore, fingerprintOf } from './cell-store.js';

export interface Cell<Input> {
  /** A readable key that is unique in its study and mode, such as `copg/beta-0.1/seed-2`. */
  readonly key: string;
  /** Everything on which the result depends, as JSON. */
  readonly input: Input;
}

/** The export of a module of cells. It runs in a child process and should use one thread. */
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
  /** Number of child processes at a time. */
  readonly workers: number;
  /** Folder for results. It is not under version control. */
  readonly folder: string;
  /** Whether to discard the results of earlier runs. Default false. */
  readonly fresh?: boolean;
  /** Only cells whose key contains this text are computed. Default: all. */
  readonly only?: string;
  /** Most cells to compute. Default: all. */
  readonly atMost?: number;
  /** Receives lines of progress. */
  readonly say?: (line: string) => void;
}

/** The cells with a result, in the order of the list, and the keys of those without. */
export interface CellResults<Result> {
  readonly outcomes: readonly CellOutcome<Result>[];
  readonly missing: readonly string[];
  /** Number of cells that this run computed. */
  readonly computed: number;
  /** Sentences that explain why cells failed. */
  readonly failures: readonly string[];
}

/** The message to the child process. */
export interface CellTask {
  readonly module: string;
  readonly input: unknown;
}

const childScript = fileURLToPath(new URL('./cell-child.js', import.meta.url));

/** Computes the cells without a result, and returns all results. A cell that fails does not stop the others. */
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
