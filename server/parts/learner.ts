/** Creates the learner's process, which starts when the server takes calls. */

import type { LearnerSettings } from '../../src/learner/index.js';
import { createLearner, type LearnerSupervisor } from '../../src/learner/process/supervisor.js';
import type { Package } from '../../src/package/index.js';
import type { RewardSettings } from '../../src/reward/index.js';
import { descendsFromImport, type VersionLog } from '../../src/versions/index.js';
import type { ServerOptions } from '../options.js';
import type { DataDirectory } from './data-directory.js';

/** Checks that this build has the named device. Its providers are loaded only if a device is named. */
export async function checkDevice({ learner }: ServerOptions, { engine, device }: LearnerSettings): Promise<void> {
  if (!learner || engine !== 'onnx' || device === 'auto' || device === 'cpu') return;
  const { checkOffered } = await import('../../src/learner/index.js');
  checkOffered(device);
}

export function createLearnerProcess(
  pkg: Package,
  versions: VersionLog,
  data: DataDirectory,
  settings: LearnerSettings,
  reward: RewardSettings,
): LearnerSupervisor {
  const { number, origin, adapterDigest } = versions.live();
  return createLearner({
    packageDirectory: pkg.directory,
    packageDigest: pkg.digest,
    decoder: { vocabularySize: pkg.config.vocabularySize, contextLength: pkg.config.contextLength },
    replayPath: data.replayPath,
    directory: data.learnerPath,
    settings,
    reward,
    liveVersion: number,
    adapterPath: versions.adapterPath(number),
    adapterDigest,
    rolledBack: origin === 'rollback',
    imported: descendsFromImport(versions.list(), number),
  });
}
