/** StatusService: a snapshot of everything. */

import { enumNames } from '../../proto/enum-names.js';
import type { RaterStatus as ProtoRaterStatus } from '../../proto/generated/hone/v1/RaterStatus.js';
import type { StatusServiceHandlers } from '../../proto/generated/hone/v1/StatusService.js';
import type { SwapStatus } from '../../proto/generated/hone/v1/SwapStatus.js';
import type { Agent, RaterStatus } from '../../src/agent/index.js';
import type { SwapReport } from '../../src/policy/index.js';
import { type ReportError, unary } from './calls.js';
import { toLearnerStatus } from './learner.js';
import { toProtoRewardSettings } from './reward-settings.js';
import { toRolloutStatus } from './rollout.js';
import { toProtoVersion } from './versions.js';

export function statusHandlers(agent: Agent, serverVersion: string, report: ReportError): StatusServiceHandlers {
  return {
    GetServerStatus: unary(report, async () => {
      const {
        packageName,
        startedAtMs,
        draining,
        live,
        serving,
        replay,
        replayFailure,
        learner,
        exploration,
        reward,
        raters,
        scoresOutsideRange,
        lastSwap,
        rollout,
      } = await agent.status();
      const { runningSequences, queuedRequests, generatedTokens, promptTokens, steps, heldVersions } = serving;
      const { oldestGenerationAtMs, logHeldSinceMs, maxBytes, maxAgeMs, refusal: _, ...counts } = replay;
      return {
        serverVersion,
        packageName,
        startedAtMs,
        draining,
        live: toProtoVersion(live),
        serving: {
          runningSequences,
          queuedRequests,
          generatedTokens,
          promptTokens,
          steps,
          heldVersions: [...heldVersions],
        },
        replay: {
          ...counts,
          ...(oldestGenerationAtMs === null ? {} : { oldestGenerationAtMs }),
          ...(logHeldSinceMs === null ? {} : { logHeldSinceMs }),
          ...(replayFailure === null ? {} : { failure: { code: replayFailure.code, message: replayFailure.message } }),
          ...(maxBytes === null ? {} : { maxBytes }),
          ...(maxAgeMs === null ? {} : { maxAgeMs }),
        },
        learner: toLearnerStatus(learner),
        exploration,
        reward: toProtoRewardSettings(reward),
        raters: raters.map(toRaterStatus),
        scoresOutsideRange: [...scoresOutsideRange],
        ...(lastSwap === null ? {} : { lastSwap: toSwapStatus(lastSwap) }),
        rollout: toRolloutStatus(rollout),
      };
    }),
  };
}

function toRaterStatus({ state, failure, ...status }: RaterStatus): ProtoRaterStatus {
  return { ...status, state: enumNames.RaterState.toValue(state), failure: failure ?? '' };
}

function toSwapStatus({ probe, ...swap }: SwapReport): SwapStatus {
  return {
    ...swap,
    probeVerdict: enumNames.ProbeVerdict.toValue(probe.verdict),
    probeToNew: probe.toNew,
    probeToPrevious: probe.toPrevious,
  };
}
