/**
 * `npm run bench -- decode|serve|feedback|learn|together|edge|hostile|models [options]`. `--help` after a bench lists its options.
 *
 * Results go to standard output: a table, or with --json one line of JSON, or with --markdown a table for the README.
 * Progress goes to standard error. The exit code is 1 if a share of a limit is above 1, because then the limit was
 * measured wrongly, or if a peer's tokens show that it decodes another model.
 */

import { availableParallelism, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Device, devices } from '../src/learner/index.js';
import { benchDecode } from './decode.js';
import { benchEdge } from './edge.js';
import { benchFeedback } from './feedback.js';
import { benchHostile } from './hostile.js';
import { benchLearn } from './learn.js';
import { type BenchModel, type ModelName, modelNames, openBenchModel, usualModelNames } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { say } from './lib/progress.js';
import { kitFolder } from './lib/project.js';
import { type BenchReport, impossibleShares, toJsonLine, toMarkdown, toTable } from './lib/report.js';
import { benchModels } from './models.js';
import { benchServe } from './serve.js';
import { benchTogether } from './together.js';

interface Flags {
  readonly model?: ModelName;
  readonly threads?: number;
  /** False for --no-spin. */
  readonly spin?: boolean;
  /** False for --no-peers. */
  readonly peers?: boolean;
  /** False for --no-int8. */
  readonly int8?: boolean;
  readonly device?: Device;
  readonly tfjsNode?: string;
  readonly only?: string;
  readonly json?: true;
  readonly markdown?: true;
  readonly quick?: true;
}

interface KitFlags extends Pick<Flags, 'json' | 'markdown' | 'only'> {
  readonly kit: string;
  /** False for --no-learn. */
  readonly learn: boolean;
}

interface Bench {
  readonly name: string;
  readonly description: string;
  readonly run: (models: readonly BenchModel[], options: BenchOptions) => Promise<BenchReport>;
  /** Models that the bench always runs on, whatever the flags say. */
  readonly models?: readonly ModelName[];
  /** The model that it runs on without --model. Default: each of the usual ones. */
  readonly usualModel?: ModelName;
  /** Options that only this bench has. */
  readonly options: readonly Option[];
}

const benches: readonly Bench[] = [
  {
    name: 'decode',
    description: 'tokens per second of the policy, compared with read bandwidth and with peers',
    run: benchDecode,
    options: [
      new Option('--no-peers', 'leave out transformers.js and llama.cpp'),
      new Option('--no-spin', 'do not let idle threads of the policy spin'),
      new Option('--no-int8', 'leave out the models with int8 weights'),
    ],
  },
  {
    name: 'serve',
    description: 'tokens per second over gRPC, compared with the policy alone, and the wait of other calls',
    run: benchServe,
    options: [],
  },
  {
    name: 'feedback',
    description: 'acknowledged scores per second, compared with the gRPC library and the store alone',
    // The result does not depend on the model.
    models: ['tiny'],
    run: benchFeedback,
    options: [],
  },
  {
    name: 'learn',
    description: 'tokens per second of a training step, compared with the GEMM rate, TF.js and PyTorch; memory',
    run: benchLearn,
    options: [
      new Option('--no-peers', 'leave out TF.js and PyTorch'),
      new Option('--device <name>', 'the device on which the learner computes').choices(devices),
      new Option('--tfjs-node <folder>', 'also compare with the tfjs-node in this folder (docs/tfjs.md)'),
    ],
  },
  {
    name: 'together',
    description: 'tokens per second and waits between tokens while the learner trains, compared with a paused learner',
    run: benchTogether,
    options: [],
  },
  { name: 'edge', description: 'install size, start-up time, idle and training memory', run: benchEdge, options: [] },
  {
    name: 'hostile',
    description: 'what other clients wait, and what memory grows, while one client does its worst',
    usualModel: 'tldr',
    run: benchHostile,
    options: [new Option('--only <attacks>', 'measure only these attacks, separated by commas')],
  },
];

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It must be a whole number, 1 or greater.');
  return count;
}

async function runBench(bench: Bench, flags: Flags): Promise<void> {
  const usual = flags.model ?? bench.usualModel;
  const names: readonly ModelName[] = bench.models ?? (flags.quick ? ['tiny'] : usual ? [usual] : usualModelNames);
  const models: BenchModel[] = [];
  for (const name of names) {
    const model = await openBenchModel(name);
    if (model) models.push(model);
  }
  const [load = 0] = loadavg();
  if (load > 0.5 && !flags.quick)
    say(`the load average is ${load.toFixed(1)}: figures of a busy machine are unreliable`);
  const report = await bench.run(models, {
    threads: flags.threads ?? availableParallelism(),
    fixedThreads: flags.threads !== undefined,
    spin: flags.spin ?? false,
    peers: flags.peers ?? false,
    device: flags.device ?? 'cpu',
    only: flags.only?.split(','),
    tfjsNode: flags.tfjsNode === undefined ? undefined : resolve(flags.tfjsNode),
    // The layers of the test package are too narrow for blocks of int8.
    int8: (flags.int8 ?? false) && !flags.quick,
    quick: flags.quick ?? false,
  });
  print(report, flags);
}

function print(report: BenchReport, flags: Pick<Flags, 'json' | 'markdown'>): void {
  const show = flags.json ? toJsonLine : flags.markdown ? toMarkdown : toTable;
  process.stdout.write(`${show(report)}\n`);
  for (const sentence of [...impossibleShares(report), ...(report.problems ?? [])]) {
    say(sentence);
    process.exitCode = 1;
  }
}

const program = new Command('bench').description(
  'Measures Hone on this machine, and compares it with limits and peers that are measured in the same run.',
);
for (const bench of benches) {
  const command = program
    .command(bench.name)
    .description(bench.description)
    .addOption(new Option('--model <name>', 'run on this model instead of the usual ones').choices(modelNames))
    .addOption(
      new Option('--threads <n>', 'threads of the engines (default: all cores, or fewer if that is faster)').argParser(
        parseCount,
      ),
    )
    .option('--json', 'print one line of JSON instead of a table')
    .option('--markdown', 'print a table in Markdown')
    .option('--quick', 'run briefly on the test package');
  for (const option of bench.options) command.addOption(option);
  command.action((flags: Flags) => runBench(bench, flags));
}
program
  .command('models')
  .description('packages of a kit: which are served, equal to their own file, and learned on')
  .option('--kit <folder>', 'folder of the kit: <family>/<form>/ with a reference.json each', kitFolder)
  .option('--only <parts>', 'only folders whose names contain one of these, separated by commas')
  .option('--no-learn', 'do not learn on them')
  .option('--json', 'print one line of JSON instead of a table')
  .option('--markdown', 'print a table in Markdown')
  .action(async ({ kit, only, learn, ...flags }: KitFlags) => {
    print(await benchModels({ kit: resolve(kit), only: only?.split(','), learn }), flags);
  });
await program.parseAsync();
