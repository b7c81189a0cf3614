/** `hone demo`: the whole loop in a few minutes. */

import { type Command, InvalidArgumentError } from 'commander';
import type { DemoFlags } from '../demo/main.js';
import { parseCount } from '../flags.js';

/** Adds the command. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('watch the whole loop: serve, score, learn, swap')
    .description(
      'Starts a server and its learner, plays an app whose users score summaries, and compares the first with the last version on posts that were never trained on.',
    )
    .option('--judge <module>', 'a module whose default export scores (post, completion) with a number')
    .option('--data <folder>', 'where the demo keeps its data and its report')
    .option('--seed <number>', 'of the posts and the samples', parseCount)
    .option('--scores <count>', 'scores that the users give in all', atLeast(1), 1792)
    .option('--posts <count>', 'held-out posts on which the versions are compared, 8 or more', atLeast(8), 256)
    .option('--json', 'print one last line of JSON')
    .action(async (flags: DemoFlags) => {
      const { runDemo } = await import('../demo/main.js');
      process.exitCode = await runDemo(flags);
    });
}

/** A whole number from `least`, for commander. */
function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = parseCount(text);
    if (value < least) throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
    return value;
  };
}
