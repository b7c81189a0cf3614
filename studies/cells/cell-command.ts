/** The command of a study: reads its flags, computes its cells, prints the report and records it. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { say } from '../../bench/lib/progress.js';
import { projectRoot } from '../../bench/lib/project.js';
import { type CellReport, toCellJson, toCellTable } from './cell-report.js';
import { type Cell, type CellResults, runCells } from './cells.js';
import { recordReport } from './record.js';
import { workFolder } from './work-folder.js';

export type CellMode = 'quick' | 'full';

/** A part of a study's cells. It may depend on the results of the parts before it. */
export interface CellPart<Input> {
  readonly cells: readonly Cell<Input>[];
  /** The compiled module that exports `runCell`. */
  readonly module: URL;
  /** End of the name of the file of results, if the study has several parts. */
  readonly suffix?: string;
  /** Whether later parts need all cells of this one, so that `--only` does not apply to it. */
  readonly needed?: boolean;
}

export interface CellContext {
  readonly mode: CellMode;
  /** Folder for results and for files that cells share. It is not under version control. */
  readonly workFolder: string;
  compute<Input, Result>(part: CellPart<Input>): Promise<CellResults<Result>>;
}

export interface Study {
  readonly name: string;
  readonly description: string;
  /** Computes cells, and makes figures of all cells that have a result. */
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

/** Adds `study <name>` to the program. */
export function addStudyCommand(program: Command, study: Study): void {
  program
    .command(study.name)
    .description(study.description)
    .addOption(new Option('--quick', 'run at most ten minutes on two cores (the default)').conflicts('full'))
    .option('--full', 'run all seeds and settings')
    .option('--fresh', 'discard the results of earlier runs')
    .addOption(
      new Option('--workers <n>', 'number of cells to compute at a time, on one thread each')
        .argParser(parseCount)
        .default(availableParallelism(), 'all cores'),
    )
    .option('--only <text>', 'compute only cells whose key contains this text')
    .addOption(
      new Option('--at-most <n>', 'stop after this number of cells; the next run continues').argParser(parseCount),
    )
    .option('--record', 'write results and plots to studies/results')
    .option('--json', 'print one line of JSON instead of a table')
    .option('--markdown', 'print a table in Markdown')
    .action((flags: Flags) => runStudy(study, flags));
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new InvalidArgumentError('It must be a whole number, 0 or greater.');
  return count;
}

async function runStudy(study: Study, flags: Flags): Promise<void> {
  const mode: CellMode = flags.full ? 'full' : 'quick';
  let budget = flags.atMost ?? Number.POSITIVE_INFINITY;
  const compute = async <Input, Result>(part: CellPart<Input>): Promise<CellResults<Result>> => {
    const results = await runCells<Input, Result>({
      name: [study.name, mode, part.suffix].filter(Boolean).join('-'),
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
  const report = await study.run({ mode, workFolder, compute });
  show(report, flags);
  if (report.missing.length > 0) say(`${report.missing.length} cells are missing; run the same command to continue`);
  if (flags.record) {
    const command = `npm run study -- ${study.name} --${mode} --record`;
    const folder = join(projectRoot, 'studies/results');
    for (const path of recordReport(report, { study: study.name, mode, command, folder })) say(`wrote ${path}`);
  }
  for (const sentence of report.failures) {
    say(sentence);
    process.exitCode = 1;
  }
}

function show(report: CellReport, flags: Flags): void {
  process.stdout.write(`${flags.json ? toCellJson(report) : toCellTable(report, flags.markdown)}\n`);
}
