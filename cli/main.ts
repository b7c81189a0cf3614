/** The `hone` command, loaded by `hone.cjs`. A subcommand loads its own code when it runs, so `hone --help` is quick. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { commandName } from '../src/command-name.js';
import { addPromoteCommand, addRejectCommand } from './commands/decide.js';
import { addDemoCommand } from './commands/demo.js';
import { addEditCommand } from './commands/edit.js';
import { addEraseCommand } from './commands/erase.js';
import { addExplainCommand } from './commands/explain.js';
import { addFeedbackCommand } from './commands/feedback.js';
import { addGenerateCommand } from './commands/generate.js';
import { addModeCommand } from './commands/mode.js';
import { addModelsCommand } from './commands/models.js';
import { addPreferCommand } from './commands/prefer.js';
import { addPullCommand } from './commands/pull.js';
import { addQuantizeCommand } from './commands/quantize.js';
import { addRollbackCommand } from './commands/rollback.js';
import { addServeCommand } from './commands/serve.js';
import { addStatusCommand } from './commands/status.js';
import { addTfjsSetupCommand } from './commands/tfjs-setup.js';
import { addExportCommand, addImportCommand } from './commands/transfer.js';
import { addVersionsCommand } from './commands/versions.js';
import { exitCodes, explain } from './failure.js';
import { printJsonError, remark, writeUsage } from './output.js';

const manifest = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('hone-agent/package.json'), 'utf8'),
) as {
  version: string;
};

/** The first commands to try, as the user can type them, each with its purpose. */
function firstSteps(): string {
  const steps = [
    ['serve', 'start a server (leave it running)'],
    ['generate "My nephew ..."', 'ask for a completion; prints a generation id'],
    ['feedback <id> 0.8', 'score that completion'],
    ['status --watch', 'watch it learn'],
  ] as const;
  return steps.map(([command, what]) => `  ${commandName()} ${command.padEnd(26)}${what}`).join('\n');
}

const wantsJson = process.argv.includes('--json');

const program = new Command('hone')
  .description('Serve a small language model, send back scores, and it gets better while it serves.')
  .version(manifest.version)
  // This comes before the subcommands are added, because they inherit it.
  .exitOverride()
  .configureOutput({ writeErr: writeUsage, outputError: printUsageError })
  // Flags after a subcommand belong to it, such as --json in `hone versions export --json`.
  .enablePositionalOptions()
  .showHelpAfterError(wantsJson ? false : 'Run the command with --help to see its arguments.')
  .addHelpText(
    'after',
    `
Exit codes: 0 success, 1 failure, 2 wrong usage, 3 no server or a server that cannot answer now, 4 the server or the hub
refused the request, 5 the demo learned nothing, 130 interrupted.

First steps:
${firstSteps()}`,
  );

addServeCommand(program);
addGenerateCommand(program);
addFeedbackCommand(program);
addPreferCommand(program);
addEditCommand(program);
addExplainCommand(program);
addStatusCommand(program);
addVersionsCommand(program);
addModeCommand(program);
addPromoteCommand(program);
addRejectCommand(program);
addRollbackCommand(program);
addExportCommand(program);
addImportCommand(program);
addEraseCommand(program);
addPullCommand(program);
addModelsCommand(program);
addQuantizeCommand(program);
addTfjsSetupCommand(program);
addDemoCommand(program);

// In `hone versions | head -1` the reader closes the pipe early, which is no failure. `hone serve` goes on without it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (process.argv[2] !== 'serve') process.exit(exitCodes.ok);
});

try {
  // Without a command, print the help and exit with 0. With another code, `npm run hone` would add lines of npm.
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    // Commander has printed the message already. It also throws for --help and --version, with exit code 0.
    process.exitCode = thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else {
    const { exitCode, error, lines } = explain(thrown);
    if (wantsJson) printJsonError(error);
    else remark(`hone: ${lines[0]}`, ...lines.slice(1));
    process.exitCode = exitCode;
  }
}

function printUsageError(text: string, write: (text: string) => void): void {
  if (wantsJson) printJsonError({ code: 'USAGE', message: text.trim().replace(/^error: /, '') });
  else write(text);
}
