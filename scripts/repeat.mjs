// Runs the whole `npm test` several times in a row, to find tests that fail only sometimes.
//
//   npm run test:repeat -- 5          five runs
//   npm run test:repeat -- 5 --busy   five runs beside a process that keeps one core busy
//   npm run test:repeat -- --show     no run, only the table of all runs of this commit
//
// Each run is appended to a file in .build. The table at the end lists every run of this commit, including those of
// earlier calls. A run that fails does not stop the next ones.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { onSupportedNode } from './on-node.mjs';
import { fail, root, say } from './project.mjs';
import { describeRuns, keepRun, readResults, readRuns } from './test-runs.mjs';

const kept = join(root, '.build/test-runs.jsonl');

/** A program that keeps one core busy until it is killed or its parent ends. */
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

// The tests then run on the same Node as this script.
await onSupportedNode('test');
const { values, positionals } = parseArgs({
  options: { busy: { type: 'boolean', default: false }, show: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const count = positionals.length === 0 && values.show ? 0 : Number(positionals[0]);
if (!Number.isInteger(count) || count < 0 || (count === 0 && !values.show) || positionals.length > 1) {
  fail('give the number of runs: npm run test:repeat -- <count> [--busy], or --show for a table of earlier runs');
}
let red = 0;
for (let number = 1; number <= count && !interrupted; number++) {
  say(`run ${number} of ${count}${values.busy ? ', beside a busy core' : ''} ...`);
  const run = await runOnce(values.busy);
  // An interrupted run proves nothing.
  if (interrupted) break;
  keepRun(kept, run);
  if (!run.green) red += 1;
  say(
    `run ${number} of ${count}: ${run.green ? 'green' : 'red'} after ${run.seconds} s, ${run.passed} tests passed, ${run.failed.length} failed`,
  );
}
const commit = commitOfTree();
const runs = readRuns(kept).filter((run) => run.commit === commit);
process.stdout.write(`\nruns of commit ${commit}, from ${kept}\n\n${describeRuns(runs)}\n`);
process.exitCode = red > 0 || interrupted ? 1 : 0;
