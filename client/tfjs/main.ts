/** `hone tfjs-setup`: builds the addon and says what to do next. */

import { commandName } from '../../proto/command-name.js';
import { print, printJson, remark } from '../cli/output.js';
import type { TfjsSetupFlags } from '../cli/tfjs-setup.js';

/** What `server/tfjs-setup.js` gives back. */
interface AddonReport {
  readonly package: string;
  readonly version: string;
  readonly addon: string;
  readonly tensorflow: string;
  readonly tensorflowVersion: string;
  readonly gpu: boolean;
}

interface SetupModule {
  buildTfjsAddon(request: {
    readonly tensorflow: string;
    readonly folder?: string;
    readonly compiler?: string;
    readonly onStage: (stage: 'compiling' | 'checking') => void;
  }): Promise<AddonReport>;
}

/** Runs the command. */
export async function runTfjsSetup(tensorflow: string, { json, ...flags }: TfjsSetupFlags): Promise<void> {
  // By address: only here is the runtime loaded.
  const { buildTfjsAddon } = (await import(new URL('../../server/tfjs-setup.js', import.meta.url).href)) as SetupModule;
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
