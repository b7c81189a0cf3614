/** The agent's events as lines of the log. */

import type { Logger } from 'pino';
import type { Agent } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';

/** What changes is worth a line each; the learner's figures are for those who watch. */
export async function logEvents(agent: Agent, log: Logger): Promise<void> {
  try {
    for await (const events of agent.watchEvents({})) {
      for (const { type, atMs: _, ...event } of events) {
        if (/^(worker_restarted|store_failed|version_rejected|learner_(setback|starved)|rater_failed)$/.test(type))
          log.warn(event, type);
        else if (/^(learner_engine_opened|(version|canary|shadow|mode)_.*)$/.test(type)) log.info(event, type);
        else log.debug(event, type);
      }
    }
  } catch (thrown) {
    const err = HoneError.from(thrown);
    if (err.code !== 'DRAINING') log.error({ err }, 'events are no longer logged');
  }
}
