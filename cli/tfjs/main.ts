/** `hone tfjs-setup`: builds the addon and says what to do next. */

import { commandName } from '../../proto/command-name.js';
import type { AddonReport } from '../../src/learner/index.js';
import { print, printJson, remark } from '../output.js';

/** What the command is told. */
export interface TfjsSetupFlags {
  /** Where tfjs-node is installed. */
  readonly folder?: string;
  readonly compiler?: string;
  readonly json?: boolean;
}

/** Runs the command. */
export async function runTfjsSetup(tensorflow: string, { json, ...flags }: TfjsSetupFlags): Promise<void> {
  const { buildTfjsAddon } = await import('../../src/learner/engine/tfjs/native-addon.js');
  const report = await buildTfjsAddon({
    tensorflow,
    ...flags,
    onStage: (stage) => {
      remark(stage === 'compiling' ? 'compiling the addon (a minute) ...' : 'multiplying two matrices with it ...');
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
    `Train with it: ${commandName()} serve --learner-engine tfjs --learner-device ${gpu ? 'cuda' : 'cpu'}`,
    'Leave the folder of TensorFlow where it is; after an update of either package run this command again.',
  );
}
