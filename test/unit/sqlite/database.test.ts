/** The behaviour of a connection that the store relies on, and the parts of Node's driver that it makes safe. */

import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  type Access,
  Database,
  isResult,
  type ResultCode,
  resultCodeOf,
  type WholeText,
  whole,
  wholeText,
} from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { runPiped } from '../../support/processes.js';

let path: string;
beforeEach(() => {
  path = join(temporaryFolder(), 'a b%20c?#.sqlite');
});

function open(access: Access = 'create', file = path): Database {
  const database = new Database(file, { access });
  onTestFinished(() => database.close());
  return database;
}

/** Creates a table `t` whose column `x` holds each value once. */
function withTable(database = open()): Database {
  database.exec('CREATE TABLE t (x INTEGER PRIMARY KEY, y)');
  return database;
}

const valuesOf = (database: Database) => database.prepareValue<[], number>('SELECT x FROM t ORDER BY x').all();
const insertInto = (database: Database) => database.prepare<[number]>('INSERT INTO t (x) VALUES (?)');

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (thrown) {
    return thrown;
  }
  throw new Error('nothing was thrown');
}

function expectResult(run: () => unknown, name: ResultCode): void {
  const thrown = thrownBy(run);
  expect(isResult(thrown, name), String(thrown)).toBe(true);
}

describe('opening a file', () => {
  it.each(['read', 'write'] as const)('with access %s never creates a missing file', (access) => {
    expectResult(() => open(access), 'SQLITE_CANTOPEN');
    expect(existsSync(path)).toBe(false);
  });

  it('with access create makes a missing file under exactly the given name', () => {
    withTable();
    expect(existsSync(path)).toBe(true);
    expect(valuesOf(open('read'))).toEqual([]);
  });

  it('with access read refuses every write', () => {
    withTable();
    const reading = open('read');
    expectResult(() => insertInto(reading).run(1), 'SQLITE_READONLY');
    expectResult(() => reading.exec('DROP TABLE t'), 'SQLITE_READONLY');
  });

  it('ends with the first close: a second one does nothing, and prepared statements throw', () => {
    const database = withTable();
    const insert = insertInto(database);
    database.close();
    database.close();
    expect(() => insert.run(1)).toThrow();
    expect(() => database.exec('SELECT 1')).toThrow();
  });
});

describe('values of rows', () => {
  it('are numbers, texts, Uint8Arrays and nulls', () => {
    const row = open().prepare<[], object>("SELECT 1 AS a, 0.5 AS b, 'ü' AS c, x'00ff' AS d, NULL AS e").get();
    expect({ ...row }).toEqual({ a: 1, b: 0.5, c: 'ü', d: Uint8Array.of(0, 255), e: null });
    expect((row as { d: unknown }).d).toBeInstanceOf(Uint8Array);
  });

  it('are read back as they were written, up to the last safe integer', () => {
    const database = withTable();
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
    const values = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 5e-324, -0.1, '', '👋', bytes, null];
    const insert = database.prepare<[number, (typeof values)[number]]>('INSERT INTO t VALUES (?, ?)');
    for (const [i, value] of values.entries()) insert.run(i, value);
    expect(database.prepareValue<[], unknown>('SELECT y FROM t ORDER BY x').all()).toEqual(values);
  });

  it('that are texts with U+0000 are stored whole, and read back whole if selected with whole()', () => {
    const database = withTable();
    for (const text of ['a\u0000b', '\u0000', '\uFEFF\u0000ü👋', '\uFEFFa', 'a', '']) {
      database.prepare<[string]>('INSERT INTO t (y) VALUES (?)').run(text);
      const found = database.prepareValue<[string], WholeText>(`SELECT ${whole('y')} FROM t WHERE y = ?`).get(text);
      expect(wholeText(found as WholeText)).toBe(text);
    }
    database.exec('INSERT INTO t (x) VALUES (100)');
    expect(database.prepareValue<[], WholeText | null>(`SELECT ${whole('y')} FROM t WHERE x = 100`).get()).toBeNull();
  });

  it.each(['9007199254740992', '-9007199254740992', '9223372036854775807'])(
    'beyond the safe integers are refused, and no other number takes their place: %s',
    (integer) => {
      const database = open();
      const refused = expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' });
      expect(() => database.prepareValue<[], number>(`SELECT ${integer}`).get()).toThrow(refused);
      expect(() => database.prepare<[], object>(`SELECT ${integer} AS x`).all()).toThrow(refused);
    },
  );

  it('for a parameter name that the statement lacks are refused', () => {
    const statement = open().prepareValue<[Record<string, number>], number>('SELECT :a + :b');
    expect(statement.get({ a: 1, b: 2 })).toBe(3);
    expect(() => statement.get({ a: 1, b: 2, c: 3 })).toThrow(/c/);
  });

  it('of a missing first row are undefined, and the statement can be used again', () => {
    const database = withTable();
    const found = database.prepareValue<[number], number>('SELECT x FROM t WHERE x = ?');
    expect(found.get(1)).toBeUndefined();
    expect(insertInto(database).run(1)).toEqual({ changes: 1, lastInsertRowid: 1 });
    expect([found.get(1), found.get(2), found.get(1)]).toEqual([1, undefined, 1]);
  });
});

describe('a transaction', () => {
  it('is undone as a whole if it throws, and otherwise returns its result', () => {
    const database = withTable();
    const insert = insertInto(database);
    expect(database.transaction('immediate', () => insert.run(1).changes)).toBe(1);
    const failing = () =>
      database.transaction('deferred', () => {
        insert.run(2);
        throw new Error('no');
      });
    expect(failing).toThrow('no');
    expect(database.inTransaction).toBe(false);
    expect(valuesOf(database)).toEqual([1]);
  });

  it('within another transaction is undone alone', () => {
    const database = withTable();
    const insert = insertInto(database);
    database.transaction('immediate', () => {
      insert.run(1);
      const inner = () =>
        database.transaction('immediate', () => {
          insert.run(2);
          database.transaction('immediate', () => insert.run(3));
          throw new Error('inner');
        });
      expect(inner).toThrow('inner');
      database.transaction('immediate', () => insert.run(4));
      insert.run(5);
    });
    expect(valuesOf(database)).toEqual([1, 4, 5]);
  });

  it('takes the lock for writing at once if it is immediate, and with its first write if it is deferred', () => {
    const [one, other] = [withTable(), open('write')];
    one.setPragma('journal_mode', 'WAL');
    one.transaction('immediate', () => {
      expectResult(() => other.transaction('immediate', () => undefined), 'SQLITE_BUSY');
      // Readers do not hold it up.
      expect(other.transaction('deferred', () => valuesOf(other))).toEqual([]);
      expectResult(() => other.transaction('deferred', () => insertInto(other).run(1)), 'SQLITE_BUSY');
      expect(other.inTransaction).toBe(false);
    });
    one.transaction('deferred', () => {
      expect(valuesOf(one)).toEqual([]);
      other.transaction('immediate', () => insertInto(other).run(1));
      // Its snapshot is no longer the newest state, so SQLite refuses the write.
      expectResult(() => insertInto(one).run(2), 'SQLITE_BUSY');
      expect(valuesOf(one)).toEqual([]);
    });
    expect(valuesOf(one)).toEqual([1]);
  });

  it('is undone if the connection closes before its end', () => {
    const database = withTable();
    database.exec('BEGIN');
    insertInto(database).run(1);
    database.close();
    expect(valuesOf(open('read'))).toEqual([]);
  });
});

describe('an error of SQLite', () => {
  it('for a full file is SQLITE_FULL, and earlier writes stay', () => {
    const database = withTable();
    database.setPragma('max_page_count', 8);
    const insert = database.prepare<[number, Uint8Array]>('INSERT INTO t VALUES (?, ?)');
    insert.run(1, new Uint8Array(100));
    expectResult(() => insert.run(2, new Uint8Array(100_000)), 'SQLITE_FULL');
    expect(valuesOf(database)).toEqual([1]);
  });

  it('distinguishes a file that is no database from one with damaged pages', () => {
    const database = withTable();
    database.transaction('immediate', () => {
      for (let i = 0; i < 2000; i++) insertInto(database).run(i);
    });
    database.close();
    const damaged = `${path}-damaged`;
    copyFileSync(path, damaged);
    const bytes = readFileSync(damaged);
    writeFileSync(damaged, bytes.fill(0xa5, 4096, bytes.length));
    expectResult(() => valuesOf(open('read', damaged)), 'SQLITE_CORRUPT');
    writeFileSync(damaged, bytes.fill(0x20));
    expectResult(() => valuesOf(open('read', damaged)), 'SQLITE_NOTADB');
  });

  it('for a violated constraint has its extended code and matches no other code', () => {
    const database = withTable();
    insertInto(database).run(1);
    const thrown = thrownBy(() => insertInto(database).run(1));
    // SQLITE_CONSTRAINT_PRIMARYKEY: https://sqlite.org/rescode.html
    expect(resultCodeOf(thrown)).toBe(19 | (6 << 8));
    expect(isResult(thrown, 'SQLITE_FULL')).toBe(false);
    expect(isResult(new Error('UNIQUE constraint failed'), 'SQLITE_BUSY')).toBe(false);
    expect(resultCodeOf(Object.assign(new Error('x'), { code: 'ENOSPC' }))).toBeUndefined();
  });

  it('with an extended code matches its primary code, but no other extension of it', () => {
    const of = (errcode: number) => Object.assign(new Error('disk I/O error'), { errcode });
    const write = of(10 | (3 << 8));
    const read = of(10 | (1 << 8));
    expect(isResult(write, 'SQLITE_IOERR_WRITE')).toBe(true);
    expect(isResult(read, 'SQLITE_IOERR_WRITE')).toBe(false);
    expect(isResult(of(5 | (2 << 8)), 'SQLITE_BUSY')).toBe(true);
  });
});

describe("loading Node's SQLite driver", () => {
  const module = new URL('../../../src/sqlite/index.js', import.meta.url).href;
  const run = async (body: string) => {
    const file = join(temporaryFolder(), 'program.mjs');
    writeFileSync(file, `import { Worker } from 'node:worker_threads';\n${body}`);
    return runPiped(file, []);
  };

  it('prints no warning, in the process or in a thread, and suppresses no other warning', async () => {
    const use = `const { Database } = await import(${JSON.stringify(module)}); new Database(${JSON.stringify(path)}, { access: 'create' }).close();`;
    const worker = `new Worker(${JSON.stringify(use)}, { eval: true })`;
    const quiet = await run(`${use} await new Promise((resolve) => ${worker}.once('exit', resolve));`);
    expect(quiet).toEqual({ code: 0, out: '', err: '' });
    const warned = await run(`${use} process.emitWarning('of something else', 'ExperimentalWarning');`);
    expect(warned.err).toContain('ExperimentalWarning: of something else');
  });
});
