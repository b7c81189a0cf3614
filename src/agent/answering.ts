/**
 * Answers requests: checked, sent to the live version or the canary, counted, and offered to shadow and exploration.
 */

import { HoneError } from '../errors.js';
import type { Loop } from './connect-loop.js';
import { checkGenerate, encodeRequest } from './generation/check-request.js';
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
  loop: Loop,
  input: GenerateInput,
  meter: RequestMeter,
  signal?: AbortSignal,
): AsyncGenerator<AgentEvent> {
  const { closing, requests, versions, rollout, context, exploration } = loop;
  closing.refuse();
  requests.refuseWhenFull();
  const fields = checkGenerate(input);
  if (signal?.aborted === true) throw abortReason(signal);
  // The request is open while its prompt is encoded, so that it counts, and so that an erasure of its subject ends it.
  using open = requests.open(fields.subject, signal);
  const request = await encodeRequest(fields, loop, open.abort.signal);
  if (open.abort.signal.aborted) throw abortReason(open.abort.signal);
  open.collect(request.answerBytes);
  // The server may have begun to stop while a long prompt was encoded.
  closing.refuse();
  if (request.version !== undefined) requireVersion(versions, request.version, 'version');
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
