/**
 * `npm run bench -- decode|learn|edge [--model tldr|135M] [--threads n] [--spin] [--json] [--smoke]`
 *
 * Results on standard output: a table, and with --json one line of JSON instead. Progress on standard error. Exit code
 * 1 when a share of a limit comes out above 1, since then the limit was measured wrongly.
 */

import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { benchDecode } from './decode.js';
import { benchEdge } from './edge.js';
import { benchLearn } from './learn.js';
import { type BenchModel, type ModelName, modelNames, openBenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { say } from './lib/progress.js';
import { type BenchReport, impossibleShares, toJsonLine, toTable } from './lib/report.js';

interface Flags {
  readonly model?: ModelName;
  readonly threads: number;
  readonly spin?: true;
  readonly json?: true;
  readonly smoke?: true;
}

type Bench = (models: readonly BenchModel[], options: BenchOptions) => Promise<BenchReport>;

const benches: readonly { readonly name: string; readonly description: string; readonly run: Bench }[] = [
  {
    name: 'decode',
    description: 'tokens per second of the policy worker, and its share of read bandwidth',
    run: benchDecode,
  },
  {
    name: 'learn',
    description: 'tokens per second of a training step, and its share of the GEMM rate',
    run: benchLearn,
  },
  { name: 'edge', description: 'install size, start-up time, idle and training memory', run: benchEdge },
];

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('expected a whole number above 0');
  return count;
}

async function runBench(bench: Bench, flags: Flags): Promise<void> {
  const names: readonly ModelName[] = flags.smoke ? ['tiny'] : flags.model ? [flags.model] : modelNames;
  const models: BenchModel[] = [];
  for (const name of names) {
    const model = await openBenchModel(name);
    if (model) models.push(model);
  }
  const report = await bench(models, {
    threads: flags.threads,
    spin: flags.spin ?? false,
    smoke: flags.smoke ?? false,
  });
  process.stdout.write(`${flags.json ? toJsonLine(report) : toTable(report)}\n`);
  for (const sentence of impossibleShares(report)) {
    say(sentence);
    process.exitCode = 1;
  }
}

const program = new Command('bench').description(
  'Measures Hone on this machine against limits measured in the same run.',
);
for (const { name, description, run } of benches) {
  program
    .command(name)
    .description(description)
    .addOption(new Option('--model <name>', 'one model instead of all').choices(modelNames))
    .option('--threads <n>', 'threads of the engines', parseCount, availableParallelism())
    .option('--spin', 'decode: let idle threads spin, as on a machine that does nothing else')
    .option('--json', 'one line of JSON instead of a table')
    .option('--smoke', 'a short run on the package of the tests')
    .action((flags: Flags) => runBench(run, flags));
}
await program.parseAsync();
