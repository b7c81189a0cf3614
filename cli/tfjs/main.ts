/** Runs `hone tfjs-setup`: builds the addon and prints how to train with it. */

import { commandName } from '../../src/command-name.js';
import type { AddonReport } from '../../src/learner/index.js';
import { print, printJson, remark } from '../output.js';

/** The flags of the command. */
export interface TfjsSetupFlags {
  /** Folder in which tfjs-node is installed. */
  readonly folder?: string;
  readonly compiler?: string;
  readonly json?: boolean;
}

export async function runTfjsSetup(tensorflow: string, { json, ...flags }: TfjsSetupFlags): Promise<void> {
  const { buildTfjsAddon } = await import('../../src/learner/engine/tfjs/native-addon.js');
  const report = await buildTfjsAddon({
    tensorflow,
    ...flags,
    onStage: (stage) => {
      remark(
        stage === 'compiling'
          ? 'compiling the addon (about a minute) ...'
          : 'checking it with a product of two matrices ...',
      );
    },
  });
  if (json) printJson(report);
  else show(report);
}

function show({ addon, tensorflow, tensorflowVersion, gpu, ...built }: AddonReport): void {
  print(
    '',
    `  ${built.package} ${built.version} runs on TensorFlow ${tensorflowVersion}, ${gpu ? 'on a GPU' : 'on the CPU'}`,
    `  addon       ${addon}`,
    `  TensorFlow  ${tensorflow}`,
    '',
    `To train with it: ${commandName()} serve --learner-engine tfjs --learner-device ${gpu ? 'cuda' : 'cpu'}`,
    'Do not move the folder of TensorFlow. Run this command again after an update of TensorFlow or of tfjs-node.',
  );
}
