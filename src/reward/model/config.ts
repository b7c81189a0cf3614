/** Reads `config.json` of a reward model, which is a sequence classifier with a single label. */

import { z } from 'zod';
import { invalidPackage, readJson } from '../../package/index.js';

/** The part of the configuration that Hone uses. */
export interface RewardModelConfig {
  /** Length of the longest text, tokens; `null` if the configuration gives none. */
  readonly contextLength: number | null;
  readonly padTokenId: number;
  /** True: the logit is the score. False: the score is its sigmoid. */
  readonly regression: boolean;
}

const length = z.int().positive().nullish();

const schema = z.object({
  architectures: z.array(z.string()).nullish(),
  num_labels: z.int().positive().nullish(),
  id2label: z.record(z.string(), z.unknown()).nullish(),
  problem_type: z.string().nullish(),
  max_position_embeddings: length,
  n_positions: length,
  pad_token_id: z.int().nonnegative().nullish(),
});

/** The default of `transformers` if the configuration names no labels. */
const defaultLabels = 2;

/** @throws HoneError `PACKAGE_INVALID` for another architecture or more than one label */
export async function readRewardModelConfig(directory: string): Promise<RewardModelConfig> {
  const config = await readJson(directory, 'config.json', schema);
  const refuse = (problem: string) => invalidPackage(directory, 'config.json', problem);
  const architecture = config.architectures?.[0];
  if (architecture === undefined || !architecture.endsWith('ForSequenceClassification')) {
    throw refuse(
      `names architecture ${architecture ?? 'none'}; a reward model must be a ...ForSequenceClassification with one ` +
        'label: export it as text-classification',
    );
  }
  const labels = config.num_labels ?? (config.id2label ? Object.keys(config.id2label).length : defaultLabels);
  if (labels !== 1) throw refuse(`has ${labels} labels; a reward model must have one, the reward`);
  return {
    contextLength: config.max_position_embeddings ?? config.n_positions ?? null,
    padTokenId: config.pad_token_id ?? 0,
    regression: config.problem_type === 'regression',
  };
}
