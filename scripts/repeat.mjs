// `npm run test:repeat -- <count> [--busy]`: the whole `npm test` so many times, one after another; with --busy beside a
// process that keeps one core busy. Each run is added to a file in .build, so that ten need not be in one go; at the end,
// or with --show alone, the runs of this commit are listed. A run that fails does not stop the others.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { onSupportedNode } from './on-node.mjs';
import { fail, root, say } from './project.mjs';
import { describeRuns, keepRun, readResults, readRuns } from './test-runs.mjs';

const kept = join(root, '.build/test-runs.jsonl');

/** Keeps one core busy until it is told to end, or its parent has. */
const busyProgram = `
  new (require('node:worker_threads').Worker)('for (;;);', { eval: true });
  process.once('disconnect', () => process.exit(0));`;

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

function commitOfTree() {
  const commit = git('rev-parse', '--short=12', 'HEAD');
  return git('status', '--porcelain') === '' ? commit : `${commit}+`;
}

let interrupted = false;

/** @returns {Promise<import('./test-runs.mjs').Run>} */
async function runOnce(busy) {
  const folder = mkdtempSync(join(tmpdir(), 'hone-runs-'));
  const commit = commitOfTree();
  const neighbour = busy
    ? spawn(process.execPath, ['-e', busyProgram], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    : undefined;
  const startedAt = new Date();
  try {
    const child = spawn(process.execPath, [join(root, 'scripts/test.mjs')], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, HONE_TEST_RESULTS: folder },
    });
    const pass = (signal) => {
      interrupted = true;
      child.kill(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, pass);
    const code = await new Promise((resolve) => child.once('exit', resolve));
    for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, pass);
    const { passed, failed } = readResults(folder);
    if (code !== 0 && failed.length === 0) failed.push(`the run itself ended with code ${code}`);
    const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
    const { version: node } = process;
    return { startedAt: startedAt.toISOString(), seconds, busy, commit, node, green: code === 0, passed, failed };
  } finally {
    neighbour?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

// The Node that runs this one runs the tests.
await onSupportedNode('test');
const { values, positionals } = parseArgs({
  options: { busy: { type: 'boolean', default: false }, show: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const count = positionals.length === 0 && values.show ? 0 : Number(positionals[0]);
if (!Number.isInteger(count) || count < 0 || (count === 0 && !values.show) || positionals.length > 1) {
  fail('say how often: npm run test:repeat -- <count> [--busy], or --show for what is kept');
}
let red = 0;
for (let number = 1; number <= count && !interrupted; number++) {
  say(`run ${number} of ${count}${values.busy ? ', beside a busy core' : ''} ...`);
  const run = await runOnce(values.busy);
  // What was stopped says nothing.
  if (interrupted) break;
  keepRun(kept, run);
  if (!run.green) red += 1;
  say(
    `run ${number} of ${count}: ${run.green ? 'green' : 'red'} after ${run.seconds} s, ${run.passed} tests passed, ${run.failed.length} failed`,
  );
}
const commit = commitOfTree();
const runs = readRuns(kept).filter((run) => run.commit === commit);
process.stdout.write(`\nruns of ${commit}, kept in ${kept}\n\n${describeRuns(runs)}\n`);
process.exitCode = red > 0 || interrupted ? 1 : 0;
