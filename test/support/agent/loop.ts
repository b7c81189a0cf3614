/** An agent around a scripted policy, with the real store and the real version log in a temporary folder. */

import { join } from 'node:path';
import { createAgent } from '../../../src/agent/agent.js';
import type { AgentOptions } from '../../../src/agent/agent-options.js';
import { EventLog } from '../../../src/agent/events/event-log.js';
import type { LoopEvent } from '../../../src/agent/events/types.js';
import type { Agent } from '../../../src/agent/interface.js';
import type { Learner } from '../../../src/agent/learner.js';
import type { Meter } from '../../../src/agent/meter.js';
import type { LearnerEvent, LiveVersionChange } from '../../../src/learner/process/messages.js';
import type { LearnerStatus } from '../../../src/learner/process/status.js';
import type { Package } from '../../../src/package/types.js';
import { openReplayStore, type ReplayStore } from '../../../src/replay/index.js';
import {
  type Adapter,
  openVersionLog,
  type VersionLog,
  writeAdapter,
  zeroAdapter,
} from '../../../src/versions/index.js';
import { temporaryFolder } from '../folders.js';
import { type Script, ScriptedPolicy } from './scripted-policy.js';

const packageDigest = 'd'.repeat(64);
const targets = [{ module: 'model.layers.0.mlp.up_proj', inFeatures: 4, outFeatures: 4 }];

const encode = (text: string) => [...text].map((character) => character.charCodeAt(0) % 128);

const pkg = {
  digest: packageDigest,
  name: 'scripted',
  config: { contextLength: 256, vocabularySize: 128, eosTokenIds: [0], turnEndTokenId: 0, textEndTokenId: 0 },
  tokenizer: { encodeText: encode, encodeCompletion: encode },
} as unknown as Package;

/** A learner that records the calls that it receives. */
export class RecordingLearner implements Learner {
  readonly told: string[] = [];
  emit: (event: LearnerEvent) => void = () => undefined;

  status(): LearnerStatus {
    throw new Error('no test calls this method');
  }
  live({ version, adapterPath, rolledBack }: LiveVersionChange): void {
    this.told.push(`live ${version} ${adapterPath === null ? 'zero' : 'adapter'}${rolledBack ? ' rolled back' : ''}`);
  }
  rejected(adapterDigest: string): void {
    this.told.push(`rejected ${adapterDigest}`);
  }
  erased(): void {
    this.told.push('erased');
  }
  relearn(): number {
    this.told.push('relearn');
    return this.told.filter((one) => one === 'relearn').length;
  }
  setAsideBecause(): undefined {
    return undefined;
  }
  changed(): void {
    this.told.push('changed');
  }
  async pause(): Promise<void> {
    this.told.push('pause');
  }
  async resume(): Promise<void> {
    this.told.push('resume');
  }
  onEvent(listener: (event: LearnerEvent) => void): void {
    this.emit = listener;
  }
}

export interface LoopOptions {
  /** Options that differ from the agent's defaults. */
  readonly agent?: Partial<AgentOptions>;
  /** The folder of an earlier loop. Default: a new one. */
  readonly folder?: string;
}

export interface Loop extends AsyncDisposable {
  readonly agent: Agent;
  readonly policy: ScriptedPolicy;
  readonly replay: ReplayStore;
  readonly versions: VersionLog;
  readonly learner: RecordingLearner;
  readonly folder: string;
  /** Offers an adapter with this weight everywhere, as if the learner had trained it. Default of `parent`: the live version. */
  offerCandidate(
    weight: number,
    metrics?: Record<string, number>,
    parent?: number,
    lessons?: readonly string[],
  ): Promise<void>;
  /** Returns the next event of this type after the last one that this method returned. */
  nextEvent(type: LoopEvent['type']): Promise<LoopEvent>;
}

export async function openLoop(
  script: Script,
  drainGraceMs = 1000,
  meter: Meter = {},
  over: LoopOptions = {},
): Promise<Loop> {
  const folder = over.folder ?? temporaryFolder();
  const versions = await openVersionLog({
    directory: join(folder, 'versions'),
    packageDigest,
    zeroAdapter: zeroAdapter(targets, 2, 1),
  });
  const replay = await openReplayStore({ path: join(folder, 'replay.sqlite') });
  const policy = new ScriptedPolicy(script);
  const learner = new RecordingLearner();
  const events = new EventLog({ now: Date.now });
  const parts = { pkg, policy, replay, versions, learner, events, meter };
  const agent = createAgent({ ...parts, drainGraceMs, randomSeed: () => 1, ...over.agent });
  let seen = 0;
  let candidates = 0;
  return {
    agent,
    policy,
    replay,
    versions,
    learner,
    folder,
    async offerCandidate(weight, metrics = {}, parent = versions.live().number, lessons = []) {
      const directory = join(folder, `candidate-${candidates++}`);
      const meta = { packageDigest, baseModel: 'scripted', parent, createdAtMs: 1, metrics };
      const adapterDigest = await writeAdapter(directory, filled(weight), meta);
      learner.emit({ type: 'candidate', directory, adapterDigest, parent, metrics, lessons });
    },
    async nextEvent(type) {
      for await (const batch of agent.watchEvents({ afterSequence: seen, types: [type] })) {
        const [event] = batch;
        if (event === undefined) continue;
        seen = event.sequence;
        return event;
      }
      throw new Error('the events ended before one of this type came');
    },
    async [Symbol.asyncDispose]() {
      await agent.close();
      await replay.close();
      await versions.close();
    },
  };
}

function filled(weight: number): Adapter {
  const zero = zeroAdapter(targets, 2, 1);
  for (const { data } of zero.tensors.values()) data.fill(weight);
  return zero;
}
