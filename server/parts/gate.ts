/** The gate as the server runs it: over the policy that serves and the store that is being written. */

import type { Judge } from '../../src/agent/index.js';
import { createGate, type GateSettings } from '../../src/gate/index.js';
import type { Package } from '../../src/package/index.js';
import type { Policy } from '../../src/policy/index.js';
import { openReplayReader, type ReplayStore } from '../../src/replay/index.js';
import type { RewardModel, RewardSettings } from '../../src/reward/index.js';
import type { VersionLog } from '../../src/versions/index.js';

export interface GateParts {
  readonly settings: GateSettings;
  readonly pkg: Package;
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly replay: ReplayStore;
  readonly replayPath: string;
  readonly rewards: RewardSettings;
  /** `null`: there is none. */
  readonly rewardModel: RewardModel | null;
  /** Of the learner's settings. */
  readonly holdoutShare: number;
}

/** A judge, and what ends it. */
export interface ServerGate {
  readonly judge: Judge;
  close(): void;
}

/** @throws HoneError what opening the store for reading and holding the base say */
export async function openGate(parts: GateParts): Promise<ServerGate> {
  const { settings, pkg, policy, versions, replay, rewards, rewardModel, holdoutShare } = parts;
  const base = versions
    .list()
    .findLast(({ origin, packageDigest }) => origin === 'base' && packageDigest === pkg.digest);
  const reference = base ?? versions.live();
  // Version 0 is held for good; the base of a further package would make room for others.
  if (reference.number !== 0) {
    const { number, adapterDigest } = reference;
    await policy.hold({ number, adapterDigest, adapter: await versions.readAdapter(number) });
  }
  const reader = openReplayReader(parts.replayPath);
  const judge = createGate({
    policy,
    replay,
    reader,
    pkg,
    reference: reference.number,
    rewardModel,
    rewards,
    holdoutShare,
    settings,
  });
  return { judge, close: () => reader.close() };
}
