/**
 * A training engine that finds out which rows break it, whether a pass throws or ends the process.
 *
 * A pass over many rows tells nothing about any of them. If one is suspected (see `suspicion.ts`), each of its rows runs
 * alone: for the few rows of a step that costs about as much as the step, and less than halving them again and again. A row
 * is at fault if it throws twice while it is alone, or if three processes died while it was: they may have been killed by
 * somebody else, so a row that was alone when one died runs after the others. Before that, a pass over two tokens must
 * succeed; if it does not, the engine is at fault and no row is.
 *
 * What ran alone is thrown away. If no row is at fault, the pass runs whole once more, so its result is that of a learner
 * to which nothing has happened. If it breaks again, it is too much at once, and runs row by row.
 */

import { createHash } from 'node:crypto';
import { HoneError } from '../../errors.js';
import type { AdapterTarget } from '../../versions/index.js';
import { MicroBatchEngine } from '../engine/micro-batches.js';
import type { LinearForm } from '../linear-form.js';
import type { Differentiated, Parameters, TrainingEngine, TrainingRow } from '../types.js';
import { nameOfPrompt, nameOfRow, RecordsAtFault } from './records-at-fault.js';
import type { Suspicion } from './suspicion.js';

/** Deaths of processes in a pass over a row alone that put it at fault. */
const deathsAtFault = 3;

/** Tokens that every decoder has. */
const trivialRow: TrainingRow = { promptTokens: [0], completionTokens: [0] };

/** A pass, and how it runs when it is suspected. */
interface WatchedPass<Result> {
  readonly key: string;
  /** The names of its rows. */
  readonly names: readonly string[];
  whole(): Promise<Result>;
  /** The same over one row; its result is thrown away. */
  alone(index: number): Promise<unknown>;
  /** The same result, a row at a time. */
  inParts(): Promise<Result>;
  /** The same over two tokens that belong to no record. */
  trivial(): Promise<unknown>;
}

export class WatchedEngine implements TrainingEngine {
  readonly name: string;
  readonly targets: readonly AdapterTarget[];
  readonly #engine: TrainingEngine;
  readonly #suspicion: Suspicion;

  /** @param suspicion must be open before the first pass */
  constructor(engine: TrainingEngine, suspicion: Suspicion) {
    this.name = engine.name;
    this.targets = engine.targets;
    this.#engine = engine;
    this.#suspicion = suspicion;
  }

  holds(promptTokens: number, completionTokens: number): boolean {
    return this.#engine.holds?.(promptTokens, completionTokens) ?? true;
  }

  /** @throws RecordsAtFault */
  logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array> {
    const engine = this.#engine;
    const one = (row: TrainingRow) => engine.logProbabilities([row], parameters);
    const names = rows.map(nameOfRow);
    return this.#watch({
      key: keyOf('forward', names),
      names,
      whole: () => engine.logProbabilities(rows, parameters),
      alone: (index) => one(rows[index] as TrainingRow),
      inParts: () => this.#byRow().logProbabilities(rows, parameters),
      trivial: () => one(trivialRow),
    });
  }

  /** @throws RecordsAtFault */
  promptFeatures(prompts: readonly ArrayLike<number>[], parameters: Parameters): Promise<Float32Array[]> {
    const engine = this.#engine;
    const one = (prompt: ArrayLike<number>) => engine.promptFeatures([prompt], parameters);
    const names = prompts.map(nameOfPrompt);
    return this.#watch({
      key: keyOf('features', names),
      names,
      whole: () => engine.promptFeatures(prompts, parameters),
      alone: (index) => one(prompts[index] as ArrayLike<number>),
      inParts: async () => {
        const features: Float32Array[] = [];
        for (const [i, prompt] of prompts.entries()) {
          const [found] = await this.#resultOf(names[i] as string, () => one(prompt));
          features.push(found as Float32Array);
        }
        return features;
      },
      trivial: () => one(trivialRow.promptTokens),
    });
  }

  /** @throws RecordsAtFault */
  differentiate(rows: readonly TrainingRow[], form: LinearForm, parameters: Parameters): Promise<Differentiated> {
    const engine = this.#engine;
    const one = (row: TrainingRow) => engine.differentiate([row], { constants: Float32Array.of(1) }, parameters);
    const names = rows.map(nameOfRow);
    return this.#watch({
      key: keyOf('backward', names),
      names,
      whole: () => engine.differentiate(rows, form, parameters),
      alone: (index) => one(rows[index] as TrainingRow),
      inParts: () => this.#byRow().differentiate(rows, form, parameters),
      trivial: () => one(trivialRow),
    });
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  async #watch<Result>(pass: WatchedPass<Result>): Promise<Result> {
    const suspicion = this.#suspicion;
    const { key } = pass;
    let result: { readonly value: Result } | undefined;
    if (suspicion.stateOf(key) === 'trusted' || suspicion.stateOf(key) === 'broken_off') {
      result = await this.#runWhole(pass, 'suspected');
    }
    if (result === undefined && suspicion.stateOf(key) === 'suspected') {
      await this.#probe(pass);
    }
    if (result === undefined && suspicion.stateOf(key) === 'cleared') {
      result = await this.#runWhole(pass, 'in_parts');
    }
    result ??= { value: await this.#runInParts(pass) };
    suspicion.moveTo(key, 'trusted');
    return result.value;
  }

  /** Returns nothing if the pass throws; it is in this state then. */
  async #runWhole<Result>(
    { key, whole }: WatchedPass<Result>,
    ifItThrows: 'suspected' | 'in_parts',
  ): Promise<{ readonly value: Result } | undefined> {
    this.#suspicion.begin({ key, part: 'whole' });
    try {
      return { value: await whole() };
    } catch {
      // What was thrown says nothing about a row. The passes over each row alone throw it again.
      this.#suspicion.moveTo(key, ifItThrows);
      return undefined;
    } finally {
      this.#suspicion.end();
    }
  }

  /** Runs each row alone. @throws RecordsAtFault; what the engine throws if it does not work at all */
  async #probe<Result>(pass: WatchedPass<Result>): Promise<void> {
    const suspicion = this.#suspicion;
    await this.#runTrivial(pass);
    const failed = await this.#sweep(pass, [...pass.names.keys()]);
    // What was in short supply may be there again by now.
    const faults = failed.size === 0 ? failed : await this.#sweep(pass, [...failed.keys()]);
    if (faults.size > 0)
      this.#accuse(pass, new Map([...faults].map(([index, why]) => [pass.names[index] as string, why])));
    suspicion.moveTo(pass.key, 'cleared');
  }

  /** Runs these rows alone. Returns what those that failed have thrown, by their index. */
  async #sweep<Result>(pass: WatchedPass<Result>, rows: readonly number[]): Promise<Map<number, string>> {
    const deathsOf = (index: number): number => this.#suspicion.deathsOf(pass.names[index] as string);
    const failures = new Map<number, string>();
    for (const index of [...rows].sort((a, b) => deathsOf(a) - deathsOf(b))) {
      const failure = await this.#failureOf(pass.names[index] as string, () => pass.alone(index));
      if (failure === null) continue;
      try {
        await this.#runTrivial(pass);
      } catch (thrown) {
        // The row has broken the engine for good, so no later pass would mean anything. The next process tries it last.
        if (deathsOf(index) < deathsAtFault) this.#suspicion.died(pass.names[index] as string);
        throw thrown;
      }
      failures.set(index, failure);
    }
    return failures;
  }

  async #runInParts<Result>(pass: WatchedPass<Result>): Promise<Result> {
    try {
      return await pass.inParts();
    } catch (thrown) {
      if (thrown instanceof RowAtFault) this.#accuse(pass, new Map([[thrown.row, thrown.message]]));
      throw thrown;
    }
  }

  /** Ends the suspicion of a pass with the rows at fault. */
  #accuse({ key }: Pick<WatchedPass<unknown>, 'key'>, faults: ReadonlyMap<string, string>): never {
    for (const row of faults.keys()) this.#suspicion.acquit(row);
    this.#suspicion.moveTo(key, 'trusted');
    throw new RecordsAtFault(faults);
  }

  async #runTrivial({ key, trivial }: Pick<WatchedPass<unknown>, 'key' | 'trivial'>): Promise<void> {
    this.#suspicion.begin({ key, part: 'trivial' });
    try {
      await trivial();
    } finally {
      this.#suspicion.end();
    }
  }

  /** Runs a pass over one row. Returns why it failed, or null. */
  async #failureOf(row: string, run: () => Promise<unknown>): Promise<string | null> {
    if (this.#suspicion.deathsOf(row) >= deathsAtFault) {
      return `the learner's process died ${deathsAtFault} times in a pass over this record alone`;
    }
    this.#suspicion.begin({ key: row, part: 'alone', row });
    try {
      await run();
      this.#suspicion.acquit(row);
      return null;
    } catch (thrown) {
      return `a pass over this record alone fails: ${HoneError.from(thrown).message}`;
    } finally {
      this.#suspicion.end();
    }
  }

  /** The result of a pass over one row. @throws RowAtFault if it fails twice */
  async #resultOf<Result>(row: string, run: () => Promise<Result>): Promise<Result> {
    let result: { readonly value: Result } | undefined;
    const keep = async (): Promise<void> => {
      result = { value: await run() };
    };
    const failure = (await this.#failureOf(row, keep)) === null ? null : await this.#failureOf(row, keep);
    if (result === undefined) throw new RowAtFault(row, failure ?? '');
    return result.value;
  }

  /** The engine, with passes over single rows. Throws {@link RowAtFault}. */
  #byRow(): TrainingEngine {
    const engine = this.#engine;
    const single = <Result>([row]: readonly TrainingRow[], run: () => Promise<Result>): Promise<Result> =>
      this.#resultOf(nameOfRow(row as TrainingRow), run);
    return new MicroBatchEngine(
      {
        name: engine.name,
        targets: engine.targets,
        logProbabilities: (rows, parameters) => single(rows, () => engine.logProbabilities(rows, parameters)),
        differentiate: (rows, form, parameters) => single(rows, () => engine.differentiate(rows, form, parameters)),
        promptFeatures: (prompts, parameters) => engine.promptFeatures(prompts, parameters),
        close: async () => undefined,
      },
      { fits: ({ rows }) => rows <= 1 },
    );
  }
}

/** A row that fails while it is alone. */
class RowAtFault extends HoneError {
  readonly row: string;

  constructor(row: string, message: string) {
    super('INTERNAL', message);
    this.row = row;
  }
}

function keyOf(what: string, names: readonly string[]): string {
  return createHash('sha1').update(`${what} ${names.join()}`).digest('base64url');
}
