/**
 * A connection to a SQLite file. The replay store and the lock of the data directory use it.
 *
 * It adds to Node's {@link DatabaseSync}: `read` and `write` never create a missing file, statements have types, and a
 * transaction inside another is a savepoint. It offers no iteration over the rows of a running statement, because the
 * iteration sees later writes, and using the statement again restarts it (without end on Node 22). Read a page at a time.
 *
 * Values of rows are numbers, texts, `Uint8Array`s and nulls. Reading an integer beyond 2^53 throws `ERR_OUT_OF_RANGE`.
 */

import type { DatabaseSync as Connection, SQLInputValue, StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { DatabaseSync } from './driver.js';

/**
 * The access of a connection to its file.
 * - `read`: read a file that exists.
 * - `write`: read and write a file that exists. A missing one is an error, never a new and empty one.
 * - `create`: read and write a file, and make it if it is missing.
 */
export type Access = 'read' | 'write' | 'create';

export interface DatabaseOptions {
  readonly access: Access;
  /** How long a statement waits for the lock of another connection, milliseconds. Default 0. */
  readonly busyTimeoutMs?: number;
  /**
   * Reads the file alone: no log, no locks, and no files beside it. Only for a file that has no log and that nobody
   * changes meanwhile. Default false.
   */
  readonly immutable?: boolean;
}

/** Parameters of a statement: by position, or one object by name. */
export type Parameters = readonly SQLInputValue[] | readonly [Readonly<Record<string, SQLInputValue>>];

/** The effect of a statement that writes. */
export interface Changes {
  /** Rows that it inserted, updated or deleted. Rows that were deleted by a cascade are not counted. */
  readonly changes: number;
  readonly lastInsertRowid: number;
}

/** A prepared statement. `Given` are its parameters, `Row` is a row of its result. */
export interface Statement<Given extends Parameters = Parameters, Row = never> {
  /** Returns the first row, if there is one. */
  get(...parameters: Given): Row | undefined;
  all(...parameters: Given): Row[];
  run(...parameters: Given): Changes;
}

/** When a transaction takes the lock for writing: `immediate` at its beginning, `deferred` with its first write. */
export type LockTime = 'immediate' | 'deferred';

export class Database {
  readonly #connection: Connection;
  readonly #control = new Map<string, StatementSync>();

  /** @throws an error of SQLite, with its extended result code in `errcode`, when the file cannot be opened */
  constructor(path: string, { access, busyTimeoutMs = 0, immutable = false }: DatabaseOptions) {
    const location = pathToFileURL(path);
    location.searchParams.set('mode', modes[access]);
    if (immutable) location.searchParams.set('immutable', '1');
    this.#connection = new DatabaseSync(location, { readOnly: access === 'read', timeout: busyTimeoutMs });
  }

  /** Runs statements that have neither parameters nor results. */
  exec(sql: string): void {
    this.#connection.exec(sql);
  }

  /** Prepares a statement whose rows are objects with a field for each column. */
  prepare<Given extends Parameters = Parameters, Row = never>(sql: string): Statement<Given, Row> {
    return this.#connection.prepare(sql) as unknown as Statement<Given, Row>;
  }

  /** Prepares a statement whose rows are the values of its first column. */
  prepareValue<Given extends Parameters, Value>(sql: string): Omit<Statement<Given, Value>, 'run'> {
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    const rows = statement as unknown as Statement<Given, readonly [Value]>;
    return {
      get: (...parameters) => rows.get(...parameters)?.[0],
      all: (...parameters) => rows.all(...parameters).map(([value]) => value),
    };
  }

  /** Runs a pragma such as `page_size` or `integrity_check(5)`; returns the first column of each row. */
  readPragma(pragma: string): (number | string)[] {
    return this.prepareValue<[], number | string>(`PRAGMA ${pragma}`).all();
  }

  /** Runs a pragma whose result is one number. */
  readNumber(pragma: string): number {
    return Number(this.readPragma(pragma)[0]);
  }

  /** Sets a pragma. SQLite silently ignores an unknown name or value, so read it back if it matters. */
  setPragma(name: string, value: number | string): void {
    // Some pragmas return a row when they are set, which `run` would not read.
    this.#connection.prepare(`PRAGMA ${name} = ${value}`).all();
  }

  /** Defines an SQL function. Its result may depend on its parameters only. */
  defineFunction(name: string, run: (...values: (number | string | Uint8Array | null)[]) => SQLInputValue): void {
    this.#connection.function(name, { deterministic: true }, run as (...values: SQLInputValue[]) => SQLInputValue);
  }

  /** Whether a transaction is open. On some errors, such as a full disk, SQLite ends one by itself. */
  get inTransaction(): boolean {
    return this.#connection.isTransaction;
  }

  /**
   * Runs `run` in a transaction, or in a savepoint if a transaction is open. If `run` throws, its writes are undone.
   * @throws whatever `run` throws, and errors of SQLite at the beginning and at the commit
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

  /** Closes the connection and undoes an open transaction. A second call does nothing. */
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
// Nested savepoints share the name, because SQLite takes the innermost one.
const savepoint = { begin: 'SAVEPOINT inner', commit: 'RELEASE inner', undo: ['ROLLBACK TO inner', 'RELEASE inner'] };
