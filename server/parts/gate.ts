/** Opens the gate on the serving policy and the open store. */

import type { Judge } from '../../src/agent/index.js';
import { createGate, GatePace, type GateSettings } from '../../src/gate/index.js';
import type { Package } from '../../src/package/index.js';
import type { Policy } from '../../src/policy/index.js';
import { openReplayReader, type ReplayStore } from '../../src/replay/index.js';
import type { RewardModel, RewardSettings } from '../../src/reward/index.js';
import type { VersionLog } from '../../src/versions/index.js';

interface GateParts {
  readonly settings: GateSettings;
  readonly pkg: Package;
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly replay: ReplayStore;
  readonly replayPath: string;
  readonly rewards: RewardSettings;
  /** `null`: there is none. */
  readonly rewardModel: RewardModel | null;
  /** Share of prompts that never train, from the learner's settings. */
  readonly holdoutShare: number;
}

/** An open gate. */
interface ServerGate {
  readonly judge: Judge;
  readonly pace: GatePace;
  close(): void;
}

/** @throws HoneError if the store cannot be opened for reading or the base version cannot be held */
export async function openGate(parts: GateParts): Promise<ServerGate> {
  const { settings, pkg, policy, versions, replay, rewards, rewardModel, holdoutShare } = parts;
  const base = versions
    .list()
    .findLast(({ origin, packageDigest }) => origin === 'base' && packageDigest === pkg.digest);
  const reference = base ?? versions.live();
  // The policy holds version 0 always. The base of a later package needs a hold, or it could be dropped for others.
  if (reference.number !== 0) {
    const { number, adapterDigest } = reference;
    await policy.hold({ number, adapterDigest, adapter: await versions.readAdapter(number) });
  }
  const reader = openReplayReader(parts.replayPath);
  const pace = new GatePace({ policy });
  const judge = createGate({
    policy,
    pace,
    replay,
    reader,
    pkg,
    reference: reference.number,
    rewardModel,
    rewards,
    holdoutShare,
    settings,
  });
  return { judge, pace, close: () => reader.close() };
}
