/** Starts the automatic raters: each has a process and a place in the store. */

import { mkdirSync } from 'node:fs';
import { basename, join, parse } from 'node:path';
import type { RaterOptions } from '../../src/agent/index.js';
import { fileSystemError } from '../../src/file-system-errors.js';
import { openReplayReader } from '../../src/replay/index.js';
import type { RewardedCompletion, RewardModel, RewardProcess } from '../../src/reward/index.js';
import { type RewardProcessOptions, startRewardProcess } from '../../src/reward/process/index.js';
import { rangeOf } from '../../src/reward/range.js';
import { metricOfRater, type RewardSettings } from '../../src/reward/settings.js';
import type { RaterSources } from '../options.js';
import type { DataDirectory } from './data-directory.js';

/** The raters, ready to score. */
interface ServerRaters {
  readonly raters: readonly RaterOptions[];
  /** For the gate: the reward model, or the function if there is no model; `null` if there is neither. */
  readonly rewardModel: RewardModel | null;
  close(): Promise<void>;
}

/**
 * Starts the processes, one after the other.
 * @param signal stops the start
 * @throws HoneError `PACKAGE_INVALID` if the folder is no reward model, `INVALID_OPTIONS` if the module is no reward
 * function, `WORKER_CRASHED` if the process does not become ready
 */
export async function openRaters(
  { model, module, timeoutMs }: RaterSources,
  rewards: RewardSettings,
  data: Pick<DataDirectory, 'replayPath' | 'ratersPath'>,
  signal: AbortSignal,
): Promise<ServerRaters> {
  const wanted: Pick<RewardProcessOptions, 'rater' | 'program'>[] = [];
  if (model !== undefined) {
    wanted.push({ rater: `model:${basename(model)}`, program: { type: 'model', directory: model, threads: 1 } });
  }
  if (module !== undefined) {
    wanted.push({ rater: `function:${parse(module).name}`, program: { type: 'function', module } });
  }
  if (wanted.length === 0) return { raters: [], rewardModel: null, close: async () => undefined };
  try {
    mkdirSync(data.ratersPath, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    throw fileSystemError(thrown, `the folder ${data.ratersPath} cannot be made`);
  }
  const processes: RewardProcess[] = [];
  const closeProcesses = async () => {
    await Promise.all(processes.map((process) => process.close()));
  };
  try {
    for (const options of wanted) {
      processes.push(
        await startRewardProcess({
          ...options,
          scale: scaleOf(rewards, options.rater),
          signal,
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        }),
      );
    }
  } catch (error) {
    await closeProcesses();
    throw error;
  }
  const reader = openReplayReader(data.replayPath);
  return {
    raters: processes.map((process) => ({
      model: process,
      metric: metricOfRater(rewards, process.rater),
      reader,
      placePath: join(data.ratersPath, encodeURIComponent(process.rater)),
    })),
    rewardModel: processes[0] === undefined ? null : withMissingScores(processes[0]),
    async close() {
      await closeProcesses();
      reader.close();
    },
  };
}

function scaleOf(rewards: RewardSettings, rater: string): RewardProcessOptions['scale'] {
  const metric = metricOfRater(rewards, rater);
  return { metric, ...rangeOf(rewards, metric) };
}

/** Turns a failure of the model into missing scores, so that the gate judges by its other checks. */
function withMissingScores(model: RewardProcess): RewardModel {
  return {
    rater: model.rater,
    score: async (items: readonly RewardedCompletion[]) => {
      const ratings = await model.rate(items).catch(() => []);
      return items.map((_, i) => {
        const rating = ratings[i];
        return rating?.is === 'rated' ? rating.score : null;
      });
    },
  };
}
