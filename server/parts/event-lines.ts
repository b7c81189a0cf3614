/** Writes the agent's events into the server's log. */

import type { Logger } from 'pino';
import type { Agent, LoopEventType } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';

/** An operator should look at these. */
const warnings = new Set<LoopEventType>([
  'worker_restarted',
  'store_failed',
  'version_rejected',
  'version_failed',
  'learner_setback',
  'learner_starved',
  'record_set_aside',
  'gate_starved',
  'rater_failed',
  'scores_ignored',
  'eviction_failed',
  'state_rebuilt',
  'replay_log_held',
]);

/** These change what serves, or how. */
const changes = new Set<LoopEventType>([
  'learner_engine_opened',
  'version_created',
  'version_judged',
  'version_promoted',
  'version_rolled_back',
  'canary_started',
  'canary_ended',
  'shadow_started',
  'shadow_ended',
  'mode_changed',
  'starvation_ended',
]);

/** Logs every event until the agent closes. All other types, such as the learner's figures, have level `debug`. */
export async function logEvents(agent: Agent, log: Logger): Promise<void> {
  try {
    for await (const events of agent.watchEvents({})) {
      for (const { type, atMs: _, ...event } of events) {
        if (warnings.has(type)) log.warn(event, type);
        else if (changes.has(type)) log.info(event, type);
        else log.debug(event, type);
      }
    }
  } catch (thrown) {
    const err = HoneError.from(thrown);
    if (err.code !== 'DRAINING') log.error({ err }, 'events are no longer logged');
  }
}
