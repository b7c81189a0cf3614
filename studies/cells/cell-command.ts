/** The command of a study: its flags, where results are kept, what is printed and recorded. */

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

/** A part of a study's cells: those that can be computed once the part before is there. */
export interface CellPart<Input> {
  readonly cells: readonly Cell<Input>[];
  /** The compiled module that exports `runCell`. */
  readonly module: URL;
  /** Of the file of results, after the study's name and mode, if a study has several parts. */
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

export interface Study {
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

/** Adds `study <name>` to the program. */
export function addStudyCommand(program: Command, study: Study): void {
  program
    .command(study.name)
    .description(study.description)
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
    .option('--record', 'write results and plots to studies/results')
    .option('--json', 'one line of JSON instead of a table')
    .option('--markdown', 'a table in Markdown')
    .action((flags: Flags) => runStudy(study, flags));
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new InvalidArgumentError('expected a whole number');
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
  if (report.missing.length > 0) say(`${report.missing.length} cells are missing; the same command goes on with them`);
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
