/** Modes and trials in the contract's words. */

import type { Mode as ProtoMode } from '../../proto/generated/hone/v1/Mode.js';
import type { RolloutStatus as ProtoRolloutStatus } from '../../proto/generated/hone/v1/RolloutStatus.js';
import type { TrialStatus as ProtoTrialStatus } from '../../proto/generated/hone/v1/TrialStatus.js';
import type { Mode, RolloutStatus, TrialStatus } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';

const names: Readonly<Record<Mode, ProtoMode>> = {
  apprentice: 'MODE_APPRENTICE',
  shadow: 'MODE_SHADOW',
  canary: 'MODE_CANARY',
  auto: 'MODE_AUTO',
};

const byName = new Map<unknown, Mode>(Object.entries(names).map(([mode, name]) => [name, mode as Mode]));

/** @throws HoneError `INVALID_REQUEST` for none of the modes */
export function fromProtoMode(name: unknown): Mode {
  const mode = byName.get(name);
  if (mode !== undefined) return mode;
  const description = `must be one of ${Object.values(names).join(', ')}`;
  throw new HoneError('INVALID_REQUEST', `the request is invalid: mode: ${description}`, {
    violations: [{ field: 'mode', description }],
  });
}

export function toRolloutStatus({ mode, trial, judging, waiting }: RolloutStatus): ProtoRolloutStatus {
  return {
    mode: names[mode],
    ...(trial === null ? {} : { trial: toTrialStatus(trial) }),
    ...(judging === null ? {} : { judging }),
    ...(waiting === null ? {} : { waiting }),
  };
}

function toTrialStatus({ version, startedAtMs, share, answers, canary }: TrialStatus): ProtoTrialStatus {
  if (canary === null) return { version, startedAtMs, share, answers };
  const { live, candidate, worse, notWorse, needed, margin, minimum, endsAtMs } = canary;
  const arm = ({ rewards, meanReward }: typeof live) => ({ rewards, ...(meanReward === null ? {} : { meanReward }) });
  return {
    version,
    startedAtMs,
    share,
    answers,
    canary: {
      live: arm(live),
      candidate: arm(candidate),
      logEvidenceWorse: worse,
      logEvidenceNotWorse: notWorse,
      logEvidenceNeeded: needed,
      margin,
      minimumRewards: minimum,
      endsAtMs,
    },
  };
}
