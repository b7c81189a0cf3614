/** Computes one cell of `study online` on the default policy, on one thread. */

import { defaultPackage } from '../../bench/lib/project.js';
import { runOnline } from './online-loop.js';
import type { OnlineResult, OnlineTask } from './online-task.js';
import { recipeWorld } from './online-world.js';

/** Longer than any summary of the recipe. */
const maxTokens = 96;

export function runCell(task: OnlineTask): Promise<OnlineResult> {
  return runOnline({ ...task, world: recipeWorld(task.judge), packageDirectory: defaultPackage, maxTokens });
}
