/** The command of a bench that is made of cells: its flags, where results are kept, what is printed and recorded. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type CellReport, toCellJson, toCellTable } from './cell-report.js';
import { type Cell, type CellResults, runCells } from './cells.js';
import { say } from './progress.js';
import { projectRoot, workFolder } from './project.js';
import { recordReport } from './record.js';

export type CellMode = 'quick' | 'full';

/** A part of a bench's cells: those that can be computed once the part before is there. */
export interface CellPart<Input> {
  readonly cells: readonly Cell<Input>[];
  /** The compiled module that exports `runCell`. */
  readonly module: URL;
  /** Of the file of results, after the bench's name and mode, where a bench has several parts. */
  readonly suffix?: string;
  /** `--only` does not choose among these: the later parts need them all. */
  readonly needed?: boolean;
}

export interface CellContext {
  readonly mode: CellMode;
  /** Where results and what cells share are kept; not under version control. */
  readonly workFolder: string;
  compute<Input, Result>(part: CellPart<Input>): Promise<CellResults<Result>>;
}

export interface CellBench {
  readonly name: string;
  readonly description: string;
  /** Computes cells and makes figures of what there is; cells may be missing. */
  readonly run: (context: CellContext) => Promise<CellReport>;
}

interface Flags {
  readonly quick?: true;
  readonly full?: true;
  readonly fresh?: true;
  readonly record?: true;
  readonly json?: true;
  readonly markdown?: true;
  readonly workers: number;
  readonly only?: string;
  readonly atMost?: number;
}

/** Adds `bench <name>` to the program. */
export function addCellCommand(program: Command, bench: CellBench): void {
  program
    .command(bench.name)
    .description(bench.description)
    .addOption(new Option('--quick', 'at most ten minutes on two cores (the default)').conflicts('full'))
    .option('--full', 'all seeds and settings')
    .option('--fresh', 'forget the cells that earlier runs computed')
    .addOption(
      new Option('--workers <n>', 'cells at a time, one thread each')
        .argParser(parseCount)
        .default(availableParallelism(), 'all cores'),
    )
    .option('--only <text>', 'compute only cells whose key contains this')
    .addOption(new Option('--at-most <n>', 'stop after so many cells; the next run goes on').argParser(parseCount))
    .option('--record', 'write results and plots to bench/results')
    .option('--json', 'one line of JSON instead of a table')
    .option('--markdown', 'a table in Markdown')
    .action((flags: Flags) => runCellBench(bench, flags));
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new InvalidArgumentError('expected a whole number');
  return count;
}

async function runCellBench(bench: CellBench, flags: Flags): Promise<void> {
  const mode: CellMode = flags.full ? 'full' : 'quick';
  let budget = flags.atMost ?? Number.POSITIVE_INFINITY;
  const compute = async <Input, Result>(part: CellPart<Input>): Promise<CellResults<Result>> => {
    const results = await runCells<Input, Result>({
      name: [bench.name, mode, part.suffix].filter(Boolean).join('-'),
      cells: part.cells,
      module: part.module,
      workers: flags.workers,
      folder: workFolder,
      fresh: flags.fresh ?? false,
      only: part.needed ? '' : (flags.only ?? ''),
      atMost: budget,
      say,
    });
    budget -= results.computed;
    return results;
  };
  const report = await bench.run({ mode, workFolder, compute });
  show(report, flags);
  if (report.missing.length > 0) say(`${report.missing.length} cells are missing; the same command goes on with them`);
  if (flags.record) {
    const command = `npm run bench -- ${bench.name} --${mode} --record`;
    const folder = join(projectRoot, 'bench/results');
    for (const path of recordReport(report, { bench: bench.name, mode, command, folder })) say(`wrote ${path}`);
  }
  for (const sentence of report.failures) {
    say(sentence);
    process.exitCode = 1;
  }
}

function show(report: CellReport, flags: Flags): void {
  process.stdout.write(`${flags.json ? toCellJson(report) : toCellTable(report, flags.markdown)}\n`);
}
