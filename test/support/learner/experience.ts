/** A real store with finished, scored generations for the learner's tests. */

import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { checkLearnerSettings, type LearnerSettingsInput } from '../../../src/learner/index.js';
import type { LearnerSettings } from '../../../src/learner/types.js';
import { openReplayReader, openReplayStore, type ReplayReader, type ReplayStore } from '../../../src/replay/index.js';
import { temporaryFolder } from '../folders.js';
import { admission, completion, scoreWrite } from '../replay/records.js';

/** A decoder that can hold whatever the tests write. */
export const decoder = { vocabularySize: 2 ** 32, contextLength: 1000 };

export interface Sample {
  readonly id: string;
  readonly group?: string;
  readonly tokens?: readonly number[];
  /** Absent for a completion without a score. */
  readonly reward?: number;
  readonly version?: number;
  readonly packageDigest?: string;
  readonly promptTokens?: readonly number[];
  readonly state?: 'finished' | 'cancelled' | 'aborted';
  /** Default: a time long ago. */
  readonly finishedAtMs?: number;
}

export interface Experience {
  readonly store: ReplayStore;
  readonly reader: ReplayReader;
  readonly path: string;
  add(samples: readonly Sample[]): Promise<void>;
}

export async function openExperience(directory = temporaryFolder()): Promise<Experience> {
  const path = join(directory, 'replay.sqlite');
  const store = await openReplayStore({ path });
  const reader = openReplayReader(path);
  onTestFinished(async () => {
    reader.close();
    await store.close();
  });
  return {
    store,
    reader,
    path,
    async add(samples) {
      await store.admit(
        samples.map(({ id, group = 'g', version = 0, packageDigest = 'package', promptTokens = [1] }) =>
          admission(id, {
            groupKey: group,
            version,
            packageDigest,
            promptTokens: Uint32Array.from(promptTokens),
          }),
        ),
      );
      await store.complete(
        samples.map(({ id, state = 'finished', tokens = [0], finishedAtMs }) =>
          completion(id, {
            ...(finishedAtMs === undefined ? {} : { finishedAtMs }),
            state,
            tokens: Uint32Array.from(tokens),
            logprobs: new Float32Array(tokens.length),
            sampledLogprobs: new Float32Array(tokens.length),
          }),
        ),
      );
      await store.write(samples.flatMap(({ id, reward }) => (reward === undefined ? [] : [scoreWrite(id, reward)])));
    },
  };
}

/** The default settings with changes. No prompt is held out. Divergences have no bounds: no policy sampled the completions. */
export function settings(over: LearnerSettingsInput = {}): LearnerSettings {
  return checkLearnerSettings({ holdoutShare: 0, guardMaxKl: 1e6, guardMaxMove: 1e6, ...over });
}
