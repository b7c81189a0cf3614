/** The baseline that the settings name. */

import type { LearnerSettings } from '../types.js';
import { NoBaseline } from './none.js';
import { RunningMeanBaseline } from './running-mean.js';
import type { ValueBaseline } from './types.js';

export function createBaseline({ baseline }: Pick<LearnerSettings, 'baseline'>): ValueBaseline {
  switch (baseline) {
    case 'mean':
      return new RunningMeanBaseline();
    case 'none':
      return new NoBaseline();
  }
}
