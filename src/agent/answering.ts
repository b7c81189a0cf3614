/**
 * Answers requests: checked, sent to the live version or the canary, counted, and offered to shadow and exploration.
 */

import { HoneError } from '../errors.js';
import type { Loop } from './connect-loop.js';
import { checkGenerate } from './generation/check-request.js';
import type { GenerationContext } from './generation/generation-context.js';
import { abortReason, runGeneration } from './generation/run-generation.js';
import type { AgentEvent, GenerateInput } from './generation/types.js';
import type { Answering } from './interface.js';
import { RequestMeter } from './meter.js';
import { requireVersion } from './version-control.js';

export function answering(loop: Loop): Answering {
  return {
    async *generate(input, signal) {
      const meter = new RequestMeter(loop.meter);
      loop.exploration.requestStarted();
      try {
        yield* answer(loop, input, meter, signal);
        meter.ended('OK');
      } catch (thrown) {
        meter.ended(HoneError.from(thrown).code);
        throw thrown;
      } finally {
        // Counts only if neither line above did: the caller has left the loop.
        meter.ended('CANCELLED');
        loop.exploration.requestEnded();
      }
    },
  };
}

async function* answer(
  { closing, requests, pkg, encoding, randomSeed, versions, rollout, context, exploration }: Loop,
  input: GenerateInput,
  meter: RequestMeter,
  signal?: AbortSignal,
): AsyncGenerator<AgentEvent> {
  closing.refuse();
  requests.refuseWhenFull();
  const request = await checkGenerate(input, pkg, encoding, randomSeed, signal);
  // Both may have changed while a long prompt was encoded.
  closing.refuse();
  requests.refuseWhenFull();
  if (request.version !== undefined) requireVersion(versions, request.version, 'version');
  if (signal?.aborted === true) throw abortReason(signal);
  using open = requests.open(request.subject, signal);
  const { trials } = rollout;
  const route = request.version === undefined ? trials.route(request.subject) : null;
  const routed: GenerationContext = {
    ...context,
    onAdmitted: (ids) => {
      context.onAdmitted(ids);
      route?.admitted(ids);
    },
  };
  yield* runGeneration(routed, { ...request, version: route?.version ?? request.version }, open.abort, meter);
  if (request.version === undefined && request.store) trials.answered(request);
  exploration.answered(request);
}
