/** Modes and trials as messages of the contract. */

import { enumNames } from '../../proto/enum-names.js';
import type { Mode__Output } from '../../proto/generated/hone/v1/Mode.js';
import type { RolloutStatus as ProtoRolloutStatus } from '../../proto/generated/hone/v1/RolloutStatus.js';
import type { TrialStatus as ProtoTrialStatus } from '../../proto/generated/hone/v1/TrialStatus.js';
import type { Mode, RolloutStatus, TrialStatus } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';

/** @throws HoneError `INVALID_REQUEST` if it is not one of the modes */
export function fromProtoMode(value: Mode__Output): Mode {
  const mode = enumNames.Mode.toName(value);
  if (mode !== undefined) return mode;
  const description = `must be one of ${enumNames.Mode.names.map((name) => enumNames.Mode.toValue(name)).join(', ')}`;
  throw new HoneError('INVALID_REQUEST', `the request is invalid: mode: ${description}`, {
    violations: [{ field: 'mode', description }],
  });
}

export function toRolloutStatus({ mode, trial, judging, waiting, pace }: RolloutStatus): ProtoRolloutStatus {
  return {
    mode: enumNames.Mode.toValue(mode),
    ...(trial === null ? {} : { trial: toTrialStatus(trial) }),
    ...(judging === null ? {} : { judging }),
    ...(waiting === null ? {} : { waiting }),
    ...(pace.share === null ? {} : { judgingShare: pace.share }),
    ...(pace.starvedBecause === null ? {} : { judgingStarvedBecause: pace.starvedBecause }),
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
