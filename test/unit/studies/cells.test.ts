import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Cell, type CellRun, runCells } from '../../../studies/cells/cells.js';
import { temporaryFolder } from '../../support/folders.js';
import { startPiped } from '../../support/processes.js';
import type { SquareInput } from '../../support/studies/square-cell.js';

let folder: string;
let log: string;

beforeEach(() => {
  folder = temporaryFolder();
  log = join(folder, 'log');
});

const cell = (value: number, more: Partial<SquareInput> = {}): Cell<SquareInput> => ({
  key: `square/${value}`,
  input: { value, log, ...more },
});
const compute = (cells: readonly Cell<SquareInput>[], more: Partial<CellRun<SquareInput>> = {}) =>
  runCells<SquareInput, number>({
    name: 'squares',
    cells,
    module: new URL('../../support/studies/square-cell.js', import.meta.url),
    workers: 2,
    folder,
    ...more,
  });
/** Values of the cells that were computed since the last look, in the order of size. */
const computed = (): number[] => {
  if (!existsSync(log)) return [];
  const values = readFileSync(log, 'utf8').trim().split('\n').map(Number);
  rmSync(log);
  return values.sort((a, b) => a - b);
};

describe('cells of a bench', () => {
  it('are computed once, and come in the order of the list', async () => {
    const cells = [cell(3), cell(1), cell(2)];
    const first = await compute(cells);
    expect(first.outcomes.map(({ key, result }) => [key, result])).toEqual([
      ['square/3', 9],
      ['square/1', 1],
      ['square/2', 4],
    ]);
    expect(computed()).toEqual([1, 2, 3]);
    const second = await compute(cells);
    expect(second.outcomes).toEqual(first.outcomes);
    expect(computed()).toEqual([]);
  });

  it('are computed anew where their input changed, and all of them where asked to begin anew', async () => {
    await compute([cell(1), cell(2)]);
    computed();
    const changed = { key: 'square/2', input: { value: 5, log } };
    const results = await compute([cell(1), changed]);
    expect(results.outcomes.map(({ result }) => result)).toEqual([1, 25]);
    expect(computed()).toEqual([5]);
    await compute([cell(1), changed], { fresh: true });
    expect(computed()).toEqual([1, 5]);
  });

  it('stop after as many as asked for, of those whose key was asked for', async () => {
    const cells = [cell(1), cell(21), cell(22), cell(3)];
    const results = await compute(cells, { only: '/2', atMost: 1 });
    expect(computed()).toEqual([21]);
    expect(results.missing).toEqual(['square/1', 'square/22', 'square/3']);
    expect(results.computed).toBe(1);
  });

  it('fail alone: the others are kept, and the next run tries again', async () => {
    const cells = [cell(-1), cell(2)];
    const results = await compute(cells);
    expect(results.outcomes.map(({ result }) => result)).toEqual([4]);
    expect(results.missing).toEqual(['square/-1']);
    expect(results.failures).toEqual([expect.stringContaining('square/-1 failed: Error: -1 is negative')]);
    computed();
    await compute(cells);
    expect(computed()).toEqual([-1]);
  });

  it('go on after kill -9 in the middle of a cell; a torn last line is a cell that is not there', async () => {
    const gate = join(folder, 'gate');
    const cells = [cell(1), cell(2), cell(3, { gate }), cell(4)];
    const script = fileURLToPath(new URL('../../support/studies/cells-process.js', import.meta.url));
    const run = { name: 'squares', cells, workers: 1, folder };
    const bench = startPiped(script, [JSON.stringify(run)]);
    bench.stdout.resume();
    await new Promise<void>((resolve) => {
      bench.stderr.on('data', (text) => String(text).includes('waiting') && resolve());
    });
    // The pipe closes when nobody holds it any more: the child of the killed process ends, too.
    const closed = once(bench, 'close');
    bench.kill('SIGKILL');
    await closed;
    expect(computed()).toEqual([1, 2, 3]);

    const path = join(folder, 'squares.jsonl');
    const torn = readFileSync(path, 'utf8').trimEnd().slice(0, -3);
    writeFileSync(path, torn);
    writeFileSync(gate, '');
    const results = await compute(cells);
    expect(results.outcomes.map(({ result }) => result)).toEqual([1, 4, 9, 16]);
    expect(computed()).toEqual([2, 3, 4]);
    appendFileSync(path, '{"key":"square/1","fingerpr');
    expect((await compute(cells)).missing).toEqual([]);
    expect(computed()).toEqual([]);
  });
});
