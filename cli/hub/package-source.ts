/** Finds the package that a command names: a folder, or `owner/name[:variant][@revision]` in the cache or on the hub. */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import type { HubSettings, ResolvedPackage, ResolveOptions } from '../../src/hub/index.js';
import { usableMemory } from '../../src/usable-memory.js';
import { Interrupted } from '../failure.js';
import { createPullDisplay } from './progress.js';

/** What a command may say about a download. */
export interface SourceFlags {
  readonly json?: boolean;
  /** Bits per weight that a checkpoint will be written with. */
  readonly bits?: 32 | 8 | 4;
}

/** Finds a package. A folder that exists needs neither the network nor the code for it. */
export async function findPackage(text: string, flags: SourceFlags): Promise<ResolvedPackage> {
  if (existsSync(text)) return { directory: text, name: text };
  const { resolvePackage } = await import('../../src/hub/index.js');
  return await withInterruption(async (signal) => {
    const onEvent = createPullDisplay(flags.json === true);
    return await resolvePackage(text, { ...(await hubOptions(flags)), signal, onEvent });
  });
}

/** Notes that a server took a form of a model in the cache. */
export async function noteServing(directory: unknown, modelFile: unknown, learner: boolean): Promise<void> {
  if (typeof directory !== 'string' || typeof modelFile !== 'string') return;
  const { noteServed } = await import('../../src/hub/index.js');
  await noteServed(directory, modelFile, learner);
}

/** The settings of the environment and of this machine. No other file of the command reads these variables. */
export async function hubOptions({
  bits,
}: SourceFlags): Promise<Pick<ResolveOptions, 'settings' | 'conditions'> & { settings: HubSettings }> {
  const { readHubSettings } = await import('../../src/hub/index.js');
  return {
    settings: readHubSettings(process.env, homedir()),
    conditions: { memoryBytes: usableMemory(), ...(bits === undefined ? {} : { bits }) },
  };
}

/** Runs `work`; Ctrl-C aborts its signal. */
export async function withInterruption<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort(new Interrupted());
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, interrupt);
  try {
    return await work(interruption.signal);
  } catch (thrown) {
    throw interruption.signal.aborted ? new Interrupted() : thrown;
  } finally {
    for (const signal of signals) process.removeListener(signal, interrupt);
  }
}
