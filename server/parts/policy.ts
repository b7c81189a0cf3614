/** Opens the policy on the live version, in its worker. */

import type { EventLog } from '../../src/agent/index.js';
import type { HoneError } from '../../src/errors.js';
import type { Package } from '../../src/package/index.js';
import {
  openPolicy,
  type Policy,
  type PolicyVersion,
  type ThreadChoice,
  type WorkerHandle,
} from '../../src/policy/index.js';
import type { Version, VersionLog } from '../../src/versions/index.js';
import type { ServerMetrics } from '../metrics/index.js';
import type { ServerOptions } from '../options.js';
import { defaultKvMemory } from './kv-memory.js';
import { needsAdapters } from './versions.js';

/** Called once if the server cannot continue, so that its process must end and be restarted. */
export type OnFatal = (error: HoneError) => void;

/** The metrics that count the policy's reports. `null` until they are created, which is before the first request. */
export interface MetricsSlot {
  metrics: ServerMetrics | null;
}

interface PolicyParts {
  readonly pkg: Package;
  readonly versions: VersionLog;
  readonly options: ServerOptions;
  readonly choice: ThreadChoice;
  readonly events: EventLog;
  readonly onFatal: OnFatal;
  readonly metricsSlot: MetricsSlot;
  readonly worker: WorkerHandle;
}

export async function openLivePolicy(parts: PolicyParts): Promise<Policy> {
  const { pkg, versions, options, choice, events, onFatal, metricsSlot, worker } = parts;
  const read = async ({ number, adapterDigest }: Version): Promise<PolicyVersion> => ({
    number,
    adapterDigest,
    adapter: await versions.readAdapter(number),
  });
  const live = versions.live();
  // The base version stays in memory, because the gate measures candidates against it.
  const base = versions.list().find(({ origin, packageDigest }) => origin === 'base' && packageDigest === pkg.digest);
  const held = base === undefined || base.number === live.number ? [] : [await read(base)];
  return openPolicy({
    pkg,
    version: await read(live),
    held,
    ...options.policy,
    adapters: needsAdapters(options, versions),
    kvMemoryBytes: options.policy.kvMemoryBytes ?? defaultKvMemory(pkg.config, process.availableMemory()),
    threads: choice.threads,
    spin: choice.spin,
    worker,
    onFailed: onFatal,
    observer: {
      onStarted: (report) => metricsSlot.metrics?.observer.onStarted?.(report),
      onTurn: (report) => metricsSlot.metrics?.observer.onTurn?.(report),
      onSwap: (report) => metricsSlot.metrics?.observer.onSwap?.(report),
    },
    onRestart: (error) => {
      metricsSlot.metrics?.workerRestarted();
      events.publish({ type: 'worker_restarted', detail: `inference worker: ${error.message}` });
    },
  });
}
