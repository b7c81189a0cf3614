/**
 * `npm run bench -- decode|serve|feedback|learn|together|edge [options]`; `--help` after a bench lists its options.
 *
 * Results on standard output: a table, or with --json one line of JSON, or with --markdown a table for the README.
 * Progress on standard error. Exit code 1 when a share of a limit comes out above 1, since then the limit was measured
 * wrongly, and when a peer's tokens show that it decodes another model.
 */

import { availableParallelism, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Device, devices } from '../src/learner/index.js';
import { benchDecode } from './decode.js';
import { benchEdge } from './edge.js';
import { benchFeedback } from './feedback.js';
import { benchLearn } from './learn.js';
import { type BenchModel, type ModelName, modelNames, openBenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { say } from './lib/progress.js';
import { type BenchReport, impossibleShares, toJsonLine, toMarkdown, toTable } from './lib/report.js';
import { benchServe } from './serve.js';
import { benchTogether } from './together.js';

interface Flags {
  readonly model?: ModelName;
  readonly threads?: number;
  /** False with --no-spin. */
  readonly spin?: boolean;
  /** False with --no-peers. */
  readonly peers?: boolean;
  /** False with --no-int8. */
  readonly int8?: boolean;
  readonly device?: Device;
  readonly tfjsNode?: string;
  readonly json?: true;
  readonly markdown?: true;
  readonly quick?: true;
}

interface Bench {
  readonly name: string;
  readonly description: string;
  readonly run: (models: readonly BenchModel[], options: BenchOptions) => Promise<BenchReport>;
  /** Always these, whatever is asked for. */
  readonly models?: readonly ModelName[];
  /** Options of its own. */
  readonly options: readonly Option[];
}

const benches: readonly Bench[] = [
  {
    name: 'decode',
    description: 'tokens per second of the policy against read bandwidth and against peers',
    run: benchDecode,
    options: [
      new Option('--no-peers', 'leave out transformers.js and llama.cpp'),
      new Option('--no-spin', 'idle threads of the policy do not spin'),
      new Option('--no-int8', 'leave out the models with int8 weights'),
    ],
  },
  {
    name: 'serve',
    description: 'tokens per second over gRPC against the policy alone, and how long other calls wait',
    run: benchServe,
    options: [],
  },
  {
    name: 'feedback',
    description: 'acknowledged scores per second against the gRPC library and the store alone',
    // The model plays no part.
    models: ['tiny'],
    run: benchFeedback,
    options: [],
  },
  {
    name: 'learn',
    description: 'tokens per second of a training step, its share of the GEMM rate, against TF.js and PyTorch; memory',
    run: benchLearn,
    options: [
      new Option('--no-peers', 'leave out TF.js and PyTorch'),
      new Option('--device <name>', 'where the learner computes').choices(devices),
      new Option('--tfjs-node <folder>', 'compare with the tfjs-node of a folder, too (docs/tfjs.md)'),
    ],
  },
  {
    name: 'together',
    description: 'tokens per second and waits between tokens while the learner trains, against while it is paused',
    run: benchTogether,
    options: [],
  },
  { name: 'edge', description: 'install size, start-up time, idle and training memory', run: benchEdge, options: [] },
];

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('expected a whole number above 0');
  return count;
}

async function runBench(bench: Bench, flags: Flags): Promise<void> {
  const names: readonly ModelName[] =
    bench.models ?? (flags.quick ? ['tiny'] : flags.model ? [flags.model] : modelNames);
  const models: BenchModel[] = [];
  for (const name of names) {
    const model = await openBenchModel(name);
    if (model) models.push(model);
  }
  const [load = 0] = loadavg();
  if (load > 0.5 && !flags.quick) say(`the load average is ${load.toFixed(1)}: figures of a busy machine say little`);
  const report = await bench.run(models, {
    threads: flags.threads ?? availableParallelism(),
    fixedThreads: flags.threads !== undefined,
    spin: flags.spin ?? false,
    peers: flags.peers ?? false,
    device: flags.device ?? 'cpu',
    tfjsNode: flags.tfjsNode === undefined ? undefined : resolve(flags.tfjsNode),
    // The layers of the tests' package are too narrow for blocks of int8.
    int8: (flags.int8 ?? false) && !flags.quick,
    quick: flags.quick ?? false,
  });
  const show = flags.json ? toJsonLine : flags.markdown ? toMarkdown : toTable;
  process.stdout.write(`${show(report)}\n`);
  for (const sentence of [...impossibleShares(report), ...(report.problems ?? [])]) {
    say(sentence);
    process.exitCode = 1;
  }
}

const program = new Command('bench').description(
  'Measures Hone on this machine against limits and peers measured in the same run.',
);
for (const bench of benches) {
  const command = program
    .command(bench.name)
    .description(bench.description)
    .addOption(new Option('--model <name>', 'one model instead of all').choices(modelNames))
    .addOption(
      new Option('--threads <n>', 'threads of the engines (default: all cores, or what is faster)').argParser(
        parseCount,
      ),
    )
    .option('--json', 'one line of JSON instead of a table')
    .option('--markdown', 'a table in Markdown')
    .option('--quick', 'a short run on the package of the tests');
  for (const option of bench.options) command.addOption(option);
  command.action((flags: Flags) => runBench(bench, flags));
}
await program.parseAsync();
