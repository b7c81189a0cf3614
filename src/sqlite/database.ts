/**
 * A connection to a SQLite file, as the store and the lock of the data directory use it.
 *
 * It gives {@link DatabaseSync} what that lacks: a file that must exist is never created, statements have types, a
 * transaction nests as a savepoint. It leaves out what that does dangerously: there is no iteration over the rows of a
 * running statement, because writes show up in it and using the statement again restarts it (without end on Node 22).
 * Read a page at a time.
 *
 * Values of rows are numbers, texts, `Uint8Array`s and nulls. An integer beyond 2^53 cannot be read as a number: reading
 * it throws `ERR_OUT_OF_RANGE`.
 */

import type { DatabaseSync as Connection, SQLInputValue, StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { DatabaseSync } from './driver.js';

/**
 * What a connection may do with its file.
 * - `read`: read a file that exists.
 * - `write`: read and write a file that exists. A missing one is an error, never a new and empty one.
 * - `create`: the same, and make the file if it is missing.
 */
export type Access = 'read' | 'write' | 'create';

export interface DatabaseOptions {
  readonly access: Access;
  /** How long a statement waits for the lock of another connection, milliseconds. Default 0: not at all. */
  readonly busyTimeoutMs?: number;
}

/** What a statement is given: by position, or one object by name. */
export type Parameters = readonly SQLInputValue[] | readonly [Readonly<Record<string, SQLInputValue>>];

/** What a statement changed. */
export interface Changes {
  /** Number of rows that it inserted, updated or deleted itself; rows that went by a cascade are not counted. */
  readonly changes: number;
  readonly lastInsertRowid: number;
}

/** A prepared statement: `Given` are its parameters, `Row` is a row of its result. */
export interface Statement<Given extends Parameters = Parameters, Row = never> {
  /** The first row, if there is one. */
  get(...parameters: Given): Row | undefined;
  all(...parameters: Given): Row[];
  run(...parameters: Given): Changes;
}

/** When a transaction takes the lock for writing: at its beginning, or with its first write. */
export type LockTime = 'immediate' | 'deferred';

export class Database {
  readonly #connection: Connection;
  readonly #control = new Map<string, StatementSync>();

  /** @throws an error of SQLite, with its extended result code in `errcode`, when the file cannot be opened */
  constructor(path: string, { access, busyTimeoutMs = 0 }: DatabaseOptions) {
    const location = pathToFileURL(path);
    location.searchParams.set('mode', modes[access]);
    this.#connection = new DatabaseSync(location, { readOnly: access === 'read', timeout: busyTimeoutMs });
  }

  /** Runs statements that have neither parameters nor results. */
  exec(sql: string): void {
    this.#connection.exec(sql);
  }

  /** Prepares a statement whose rows are objects, by the names of their columns. */
  prepare<Given extends Parameters = Parameters, Row = never>(sql: string): Statement<Given, Row> {
    return this.#connection.prepare(sql) as unknown as Statement<Given, Row>;
  }

  /** Prepares a statement of which only the first column is wanted: its rows are that column's values. */
  prepareValue<Given extends Parameters, Value>(sql: string): Omit<Statement<Given, Value>, 'run'> {
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    const rows = statement as unknown as Statement<Given, readonly [Value]>;
    return {
      get: (...parameters) => rows.get(...parameters)?.[0],
      all: (...parameters) => rows.all(...parameters).map(([value]) => value),
    };
  }

  /** What a pragma says, by its name or with an argument (`page_size`, `integrity_check(5)`): the first column of each row. */
  readPragma(pragma: string): (number | string)[] {
    return this.prepareValue<[], number | string>(`PRAGMA ${pragma}`).all();
  }

  /** The number that a pragma says. */
  readNumber(pragma: string): number {
    return Number(this.readPragma(pragma)[0]);
  }

  /** Sets a pragma. SQLite ignores a name or a value that it does not know without a word: read it back where it matters. */
  setPragma(name: string, value: number | string): void {
    // Some pragmas answer with a row when they are set.
    this.#connection.prepare(`PRAGMA ${name} = ${value}`).all();
  }

  /** Defines a function for SQL that depends on nothing but its parameters. */
  defineFunction(name: string, run: (...values: (number | string | Uint8Array | null)[]) => SQLInputValue): void {
    this.#connection.function(name, { deterministic: true }, run as (...values: SQLInputValue[]) => SQLInputValue);
  }

  /** Whether a transaction is open. SQLite ends one by itself on some errors, a full disk for example. */
  get inTransaction(): boolean {
    return this.#connection.isTransaction;
  }

  /**
   * Runs `run` in a transaction, or within an open one as a savepoint of it. What `run` wrote is undone if it throws.
   * @throws what `run` throws, and errors of SQLite at the beginning and at the commit
   */
  transaction<Result>(lock: LockTime, run: () => Result): Result {
    const nested = this.inTransaction;
    const { begin, commit, undo } = nested ? savepoint : { ...outermost, begin: beginnings[lock] };
    this.#perform(begin);
    try {
      const result = run();
      this.#perform(commit);
      return result;
    } catch (thrown) {
      if (this.inTransaction) for (const statement of undo) this.#perform(statement);
      throw thrown;
    }
  }

  /** Closes the connection and ends an open transaction undone. A closed connection stays closed. */
  close(): void {
    if (!this.#connection.isOpen) return;
    this.#control.clear();
    this.#connection.close();
  }

  #perform(sql: string): void {
    let statement = this.#control.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare(sql);
      this.#control.set(sql, statement);
    }
    statement.run();
  }
}

const modes: Readonly<Record<Access, string>> = { read: 'ro', write: 'rw', create: 'rwc' };
const beginnings: Readonly<Record<LockTime, string>> = { immediate: 'BEGIN IMMEDIATE', deferred: 'BEGIN' };
const outermost = { commit: 'COMMIT', undo: ['ROLLBACK'] };
// The name may repeat: SQLite means the innermost one.
const savepoint = { begin: 'SAVEPOINT inner', commit: 'RELEASE inner', undo: ['ROLLBACK TO inner', 'RELEASE inner'] };
