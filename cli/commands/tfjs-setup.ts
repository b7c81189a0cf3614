/** `hone tfjs-setup`: tfjs-node on a TensorFlow of one's own. */

import type { Command } from 'commander';
import type { TfjsSetupFlags } from '../tfjs/main.js';

/** Adds the command. */
export function addTfjsSetupCommand(program: Command): void {
  program
    .command('tfjs-setup <tensorflow>')
    .summary('build tfjs-node against a TensorFlow of yours')
    .description(
      'Compiles the native addon of @tensorflow/tfjs-node (installed with npm install --ignore-scripts) against an installed Python package tensorflow, given by its folder, and multiplies two matrices with it. For --learner-engine tfjs.',
    )
    .option('--folder <folder>', 'where tfjs-node is installed (default: beside hone, then this folder)')
    .option('--compiler <program>', 'the C++ compiler (default: g++)')
    .option('--json', 'print one line of JSON')
    .action(async (tensorflow: string, flags: TfjsSetupFlags) => {
      const { runTfjsSetup } = await import('../tfjs/main.js');
      await runTfjsSetup(tensorflow, flags);
    });
}
