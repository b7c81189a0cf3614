/** `hone demo`: plays the whole loop in a few minutes. */

import { type Command, InvalidArgumentError } from 'commander';
import type { DemoFlags } from '../demo/main.js';
import { parseCount } from '../flags.js';

/** Adds the command. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('watch the whole loop: serve, score, learn, swap')
    .description(
      'Starts a server and its learner, plays an app whose users score summaries, and compares the first and the last version on posts that no version was trained on.',
    )
    .option('--judge <module>', 'a module whose default export scores (post, completion) from 0 to 1')
    .option('--data <folder>', 'folder for the demo\u2019s data and report; it must be empty or new')
    .option('--seed <number>', 'seed of the posts and the samples', parseCount)
    .option('--scores <count>', 'total number of scores that the users give', atLeast(1), 1792)
    .option('--posts <count>', 'held-out posts on which the versions are compared, 8 or more', atLeast(8), 256)
    .option('--json', 'print the result as one line of JSON at the end')
    .action(async (flags: DemoFlags) => {
      const { runDemo } = await import('../demo/main.js');
      process.exitCode = await runDemo(flags);
    });
}

/** Returns a parser of integers that are at least `least`, for commander. */
function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = parseCount(text);
    if (value < least) throw new InvalidArgumentError(`It must be a whole number, ${least} or greater.`);
    return value;
  };
}
