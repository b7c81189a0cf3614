/**
 * The metrics of a server: objects that count for the other parts, and the page, which opens when the parts are open.
 */

import type { Logger } from 'pino';
import type { Agent, Meter } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import type { PolicyObserver } from '../../src/policy/index.js';
import type { MetricsOptions } from '../options.js';
import { countEvents, countedEvents, createMeter, createPolicyObserver } from './counting.js';
import { type GaugeSources, Gauges } from './gauges.js';
import { type MetricsListener, openMetricsListener } from './listener.js';
import { contentType, Metrics } from './registry.js';

export type { MetricsListener } from './listener.js';

/** The counting side, for the parts that report. */
export interface ServerMetrics {
  readonly meter: Meter;
  readonly observer: PolicyObserver;
  /** Loads the metrics library; values that come before wait for it. Call it when the server takes calls. */
  load(): Promise<unknown>;
  /** Counts a crash of the inference worker. */
  workerRestarted(): void;
  /**
   * Serves the page. Resolves with `null` and logs a warning if the default port is taken.
   * @throws HoneError `INVALID_OPTIONS` if the server cannot listen on the address
   */
  open(sources: MetricsSources): Promise<MetricsListener | null>;
}

export interface MetricsSources extends GaugeSources {
  readonly agent: Agent;
  readonly log: Pick<Logger, 'warn' | 'error'>;
}

export function createServerMetrics(options: MetricsOptions): ServerMetrics {
  const metrics = new Metrics();
  return {
    meter: createMeter(metrics),
    observer: createPolicyObserver(metrics),
    load: () => metrics.load(),
    workerRestarted: () => metrics.add('hone_inference_worker_restarts_total', 1),
    async open(sources) {
      const { agent, log } = sources;
      const report = (err: HoneError): void => log.error({ err }, 'metrics failed');
      const gauges = new Gauges(metrics, sources);
      const page = async () => {
        await gauges.refresh();
        return metrics.text();
      };
      try {
        const listener = await openMetricsListener({ ...options, contentType, page, report });
        void countFrom(metrics, agent, report);
        return listener;
      } catch (thrown) {
        const error = HoneError.from(thrown);
        if (options.required || !isTaken(error.cause)) throw error;
        log.warn(`no metrics: another program listens on ${options.host}:${options.port}; choose a --metrics-port`);
        return null;
      }
    },
  };
}

function isTaken(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE';
}

async function countFrom(metrics: Metrics, agent: Agent, report: (error: HoneError) => void): Promise<void> {
  try {
    for await (const events of agent.watchEvents({ types: countedEvents })) countEvents(metrics, events);
  } catch (thrown) {
    const error = HoneError.from(thrown);
    if (error.code !== 'DRAINING') report(error);
  }
}
