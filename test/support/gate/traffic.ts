/** A real store with traffic of the tiny package, and evidence that a real policy gathers from it. */

import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import {
  checkGateSettings,
  type Evidence,
  type EvidenceOptions,
  type GateSettingsInput,
  gatherEvidence,
} from '../../../src/gate/index.js';
import type { Package } from '../../../src/package/index.js';
import type { Policy, PolicyVersion } from '../../../src/policy/index.js';
import {
  type GenerationAdmission,
  type GenerationCompletion,
  groupKey,
  openReplayReader,
  openReplayStore,
  type ReplayReader,
  type ReplayStore,
} from '../../../src/replay/index.js';
import { checkRewardSettings } from '../../../src/reward/index.js';
import { temporaryFolder } from '../folders.js';
import { collect, plainSampling, randomTokens, request } from '../policy/policy.js';
import { admission, completion, scoreWrite } from '../replay/records.js';

export interface Traffic {
  readonly replay: ReplayStore;
  readonly reader: ReplayReader;
}

/** Opens an empty store, which is closed at the end of the test. */
export async function openTraffic(): Promise<Traffic> {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const replay = await openReplayStore({ path });
  const reader = openReplayReader(path);
  onTestFinished(async () => {
    reader.close();
    await replay.close();
  });
  return { replay, reader };
}

export const sampling = { ...plainSampling, ignoreEos: false, maxTokens: 10 };

/** Lets a version of the policy complete prompts, and writes the completions and their scores to the store. */
export async function addTraffic(
  { replay }: Traffic,
  pkg: Package,
  policy: Policy,
  options: {
    readonly prompts: number;
    readonly firstSeed?: number;
    readonly version?: number;
    readonly reward?: (tokens: readonly number[]) => number | null;
    readonly over?: Partial<GenerationAdmission>;
  },
): Promise<void> {
  const { prompts, firstSeed = 1, version = 0, reward = () => null, over = {} } = options;
  const [admissions, completions, scores] = [
    [] as GenerationAdmission[],
    [] as GenerationCompletion[],
    [] as ReturnType<typeof scoreWrite>[],
  ];
  for (let seed = firstSeed; seed < firstSeed + prompts; seed++) {
    const promptTokens = randomTokens(6, seed);
    const drawn = await collect(policy.complete(request(promptTokens, { n: 2, seed, version, sampling })));
    for (const [i, { tokens, logprobs, sampledLogprobs, text, endOfSequence }] of drawn.completions.entries()) {
      const id = `generation-${seed}-${i}`;
      admissions.push(
        admission(id, {
          groupKey: groupKey(over.packageDigest ?? pkg.digest, promptTokens),
          packageDigest: pkg.digest,
          promptTokens: Uint32Array.from(promptTokens),
          version,
          samplingJson: JSON.stringify({ ...sampling, seed }),
          createdAtMs: 1000 + seed,
          ...over,
        }),
      );
      const values = { logprobs: Float32Array.from(logprobs), sampledLogprobs: Float32Array.from(sampledLogprobs) };
      completions.push(completion(id, { tokens: Uint32Array.from(tokens), text, endOfSequence, ...values }));
      const value = reward(tokens);
      if (value !== null) scores.push(scoreWrite(id, value));
    }
  }
  await replay.admit(admissions);
  await replay.complete(completions);
  await replay.write(scores);
}

export const smallGate: GateSettingsInput = { prompts: 12, samplesPerPrompt: 2, maxTokens: 10 };

/** Gathers evidence on a candidate against version 0. By default every prompt is held out. */
export function gather(
  { replay, reader }: Traffic,
  pkg: Package,
  policy: Policy,
  candidate: PolicyVersion,
  over: Partial<EvidenceOptions> = {},
): Promise<Evidence> {
  return gatherEvidence({
    policy,
    replay,
    reader,
    pkg,
    candidate,
    metrics: { kl: 0 },
    live: 0,
    reference: 0,
    rewardModel: null,
    rewards: checkRewardSettings(),
    holdoutShare: 0.999_999,
    settings: checkGateSettings(smallGate),
    signal: new AbortController().signal,
    ...over,
  });
}
