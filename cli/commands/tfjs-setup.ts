/** `hone tfjs-setup`: builds tfjs-node against the user's TensorFlow. */

import type { Command } from 'commander';
import type { TfjsSetupFlags } from '../tfjs/main.js';

/** Adds the command. */
export function addTfjsSetupCommand(program: Command): void {
  program
    .command('tfjs-setup <tensorflow>')
    .summary('build tfjs-node against your TensorFlow')
    .description(
      'Compiles the native addon of @tensorflow/tfjs-node (installed with npm install --ignore-scripts) against the installed Python package tensorflow in the given folder, and checks it by multiplying two matrices. hone serve --learner-engine tfjs needs it.',
    )
    .option(
      '--folder <folder>',
      'folder in which tfjs-node is installed (default: beside hone, then the current folder)',
    )
    .option('--compiler <program>', 'the C++ compiler (default: g++)')
    .option('--json', 'print one line of JSON')
    .action(async (tensorflow: string, flags: TfjsSetupFlags) => {
      const { runTfjsSetup } = await import('../tfjs/main.js');
      await runTfjsSetup(tensorflow, flags);
    });
}
