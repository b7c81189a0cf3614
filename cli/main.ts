/** The `hone` command, which `hone.cjs` starts. Every subcommand loads what it needs only when it runs, so that `hone --help` is instant. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { commandName } from '../proto/command-name.js';
import { addPromoteCommand, addRejectCommand } from './commands/decide.js';
import { addDemoCommand } from './commands/demo.js';
import { addEditCommand } from './commands/edit.js';
import { addEraseCommand } from './commands/erase.js';
import { addExplainCommand } from './commands/explain.js';
import { addFeedbackCommand } from './commands/feedback.js';
import { addGenerateCommand } from './commands/generate.js';
import { addModeCommand } from './commands/mode.js';
import { addPreferCommand } from './commands/prefer.js';
import { addQuantizeCommand } from './commands/quantize.js';
import { addRollbackCommand } from './commands/rollback.js';
import { addServeCommand } from './commands/serve.js';
import { addStatusCommand } from './commands/status.js';
import { addTfjsSetupCommand } from './commands/tfjs-setup.js';
import { addExportCommand, addImportCommand } from './commands/transfer.js';
import { addVersionsCommand } from './commands/versions.js';
import { exitCodes, explain } from './failure.js';
import { complainJson, remark, writeUsage } from './output.js';

const manifest = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('hone-agent/package.json'), 'utf8'),
) as {
  version: string;
};

/** The commands of a first round as they can be typed here, with what each does. */
function firstRound(): string {
  const steps = [
    ['serve', 'start a server (leave it running)'],
    ['generate "My nephew ..."', 'ask it; it prints a generation id'],
    ['feedback <id> 0.8', 'say how good that was'],
    ['status --watch', 'watch it learn'],
  ] as const;
  return steps.map(([command, what]) => `  ${commandName()} ${command.padEnd(26)}${what}`).join('\n');
}

const wantsJson = process.argv.includes('--json');

const program = new Command('hone')
  .description('Serve a small language model, send back scores, and it gets better while it serves.')
  .version(manifest.version)
  // Before any subcommand is added: they inherit it.
  .exitOverride()
  .configureOutput({ writeErr: writeUsage, outputError: complainOfUsage })
  // Flags after a subcommand are the subcommand's: `hone versions export --json`.
  .enablePositionalOptions()
  .showHelpAfterError(wantsJson ? false : 'Run the command with --help for its arguments.')
  .addHelpText(
    'after',
    `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server or it cannot answer now, 4 the server refused, 5 the demo
learned nothing, 130 interrupted.

A first round:
${firstRound()}`,
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
addQuantizeCommand(program);
addTfjsSetupCommand(program);
addDemoCommand(program);

// `hone versions | head -1`: whoever reads has enough, which is no failure. A server goes on without a reader.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (process.argv[2] !== 'serve') process.exit(exitCodes.ok);
});

try {
  // Without a command it says what there is, which is no failure: through npm a failure prints lines of npm's, too.
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    // Help and version are "errors" of code 0 to commander, which has printed its message already.
    process.exitCode = thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else {
    const { exitCode, error, lines } = explain(thrown);
    if (wantsJson) complainJson(error);
    else remark(`hone: ${lines[0]}`, ...lines.slice(1));
    process.exitCode = exitCode;
  }
}

function complainOfUsage(text: string, write: (text: string) => void): void {
  if (wantsJson) complainJson({ code: 'USAGE', message: text.trim().replace(/^error: /, '') });
  else write(text);
}
