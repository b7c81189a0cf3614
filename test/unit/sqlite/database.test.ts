/** What the store relies on of a connection, and what of Node's driver has been made safe. */

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

/** A table `t` with a column `x` that holds each value once. */
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

describe('opening', () => {
  it.each(['read', 'write'] as const)('to %s never makes a file that is missing', (access) => {
    expectResult(() => open(access), 'SQLITE_CANTOPEN');
    expect(existsSync(path)).toBe(false);
  });

  it('to create makes it, under the name that was given, whatever characters it has', () => {
    withTable();
    expect(existsSync(path)).toBe(true);
    expect(valuesOf(open('read'))).toEqual([]);
  });

  it('to read refuses every write', () => {
    withTable();
    const reading = open('read');
    expectResult(() => insertInto(reading).run(1), 'SQLITE_READONLY');
    expectResult(() => reading.exec('DROP TABLE t'), 'SQLITE_READONLY');
  });

  it('ends with the first close; a second does nothing, and what was prepared is of no use any more', () => {
    const database = withTable();
    const insert = insertInto(database);
    database.close();
    database.close();
    expect(() => insert.run(1)).toThrow();
    expect(() => database.exec('SELECT 1')).toThrow();
  });
});

describe('values', () => {
  it('are numbers, texts, Uint8Arrays and nulls', () => {
    const row = open().prepare<[], object>("SELECT 1 AS a, 0.5 AS b, 'ü' AS c, x'00ff' AS d, NULL AS e").get();
    expect({ ...row }).toEqual({ a: 1, b: 0.5, c: 'ü', d: Uint8Array.of(0, 255), e: null });
    expect((row as { d: unknown }).d).toBeInstanceOf(Uint8Array);
  });

  it('come back as they were given, to the last safe integer', () => {
    const database = withTable();
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
    const values = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 5e-324, -0.1, '', '👋', bytes, null];
    const insert = database.prepare<[number, (typeof values)[number]]>('INSERT INTO t VALUES (?, ?)');
    for (const [i, value] of values.entries()) insert.run(i, value);
    expect(database.prepareValue<[], unknown>('SELECT y FROM t ORDER BY x').all()).toEqual(values);
  });

  it('that are texts with U+0000 are kept whole, and come whole where they are asked for so', () => {
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

  it('that are named but not asked for are refused', () => {
    const statement = open().prepareValue<[Record<string, number>], number>('SELECT :a + :b');
    expect(statement.get({ a: 1, b: 2 })).toBe(3);
    expect(() => statement.get({ a: 1, b: 2, c: 3 })).toThrow(/c/);
  });

  it('of a first row that is not there are undefined, and a statement may be asked again', () => {
    const database = withTable();
    const found = database.prepareValue<[number], number>('SELECT x FROM t WHERE x = ?');
    expect(found.get(1)).toBeUndefined();
    expect(insertInto(database).run(1)).toEqual({ changes: 1, lastInsertRowid: 1 });
    expect([found.get(1), found.get(2), found.get(1)]).toEqual([1, undefined, 1]);
  });
});

describe('a transaction', () => {
  it('is undone as a whole when it throws, and gives back what it was given otherwise', () => {
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

  it('within another is undone alone', () => {
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

  it('that is immediate takes the lock for writing at once, a deferred one with its first write', () => {
    const [one, other] = [withTable(), open('write')];
    one.setPragma('journal_mode', 'WAL');
    one.transaction('immediate', () => {
      expectResult(() => other.transaction('immediate', () => undefined), 'SQLITE_BUSY');
      // Readers are not in its way.
      expect(other.transaction('deferred', () => valuesOf(other))).toEqual([]);
      expectResult(() => other.transaction('deferred', () => insertInto(other).run(1)), 'SQLITE_BUSY');
      expect(other.inTransaction).toBe(false);
    });
    one.transaction('deferred', () => {
      expect(valuesOf(one)).toEqual([]);
      other.transaction('immediate', () => insertInto(other).run(1));
      // What it has read by now is no longer the newest.
      expectResult(() => insertInto(one).run(2), 'SQLITE_BUSY');
      expect(valuesOf(one)).toEqual([]);
    });
    expect(valuesOf(one)).toEqual([1]);
  });

  it('that is open when the connection closes is undone', () => {
    const database = withTable();
    database.exec('BEGIN');
    insertInto(database).run(1);
    database.close();
    expect(valuesOf(open('read'))).toEqual([]);
  });
});

describe('an error', () => {
  it('of a full file says so, and what was written before stays', () => {
    const database = withTable();
    database.setPragma('max_page_count', 8);
    const insert = database.prepare<[number, Uint8Array]>('INSERT INTO t VALUES (?, ?)');
    insert.run(1, new Uint8Array(100));
    expectResult(() => insert.run(2, new Uint8Array(100_000)), 'SQLITE_FULL');
    expect(valuesOf(database)).toEqual([1]);
  });

  it('of a file that is no database, or has damaged pages, tells them apart', () => {
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

  it('of a constraint has its extended code, and is none of the others', () => {
    const database = withTable();
    insertInto(database).run(1);
    const thrown = thrownBy(() => insertInto(database).run(1));
    // SQLITE_CONSTRAINT_PRIMARYKEY: https://sqlite.org/rescode.html
    expect(resultCodeOf(thrown)).toBe(19 | (6 << 8));
    expect(isResult(thrown, 'SQLITE_FULL')).toBe(false);
    expect(isResult(new Error('UNIQUE constraint failed'), 'SQLITE_BUSY')).toBe(false);
    expect(resultCodeOf(Object.assign(new Error('x'), { code: 'ENOSPC' }))).toBeUndefined();
  });

  it('with an extended code is its primary one, but another extension is not', () => {
    const of = (errcode: number) => Object.assign(new Error('disk I/O error'), { errcode });
    const write = of(10 | (3 << 8));
    const read = of(10 | (1 << 8));
    expect(isResult(write, 'SQLITE_IOERR_WRITE')).toBe(true);
    expect(isResult(read, 'SQLITE_IOERR_WRITE')).toBe(false);
    expect(isResult(of(5 | (2 << 8)), 'SQLITE_BUSY')).toBe(true);
  });
});

describe('loading the driver', () => {
  const module = new URL('../../../src/sqlite/index.js', import.meta.url).href;
  const run = async (body: string) => {
    const file = join(temporaryFolder(), 'program.mjs');
    writeFileSync(file, `import { Worker } from 'node:worker_threads';\n${body}`);
    return runPiped(file, []);
  };

  it('prints no warning, in the process and in a thread, and holds back no other one', async () => {
    const use = `const { Database } = await import(${JSON.stringify(module)}); new Database(${JSON.stringify(path)}, { access: 'create' }).close();`;
    const worker = `new Worker(${JSON.stringify(use)}, { eval: true })`;
    const quiet = await run(`${use} await new Promise((resolve) => ${worker}.once('exit', resolve));`);
    expect(quiet).toEqual({ code: 0, out: '', err: '' });
    const warned = await run(`${use} process.emitWarning('of something else', 'ExperimentalWarning');`);
    expect(warned.err).toContain('ExperimentalWarning: of something else');
  });
});
