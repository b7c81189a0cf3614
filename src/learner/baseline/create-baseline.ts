/** Creates the baseline that the settings name. */

import type { LearnerSettings } from '../types.js';
import { NoBaseline } from './none.js';
import { type DescribePrompts, PromptBaseline } from './prompt-baseline.js';
import { RunningMeanBaseline } from './running-mean.js';
import type { ValueBaseline } from './types.js';

export function createBaseline(
  { baseline }: Pick<LearnerSettings, 'baseline'>,
  describe: DescribePrompts,
): ValueBaseline {
  switch (baseline) {
    case 'prompt':
      return new PromptBaseline(describe);
    case 'mean':
      return new RunningMeanBaseline();
    case 'none':
      return new NoBaseline();
  }
}
