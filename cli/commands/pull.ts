/** `hone pull`: fetches a model from a Hugging Face hub into its cache. */

import { type Command, InvalidArgumentError } from 'commander';
import { parseSize } from '../../server/flag-values.js';
import type { PullFlags } from '../hub/main.js';

/** Adds the command. */
export function addPullCommand(program: Command): void {
  program
    .command('pull <model>')
    .summary('fetch a model from a Hugging Face hub')
    .description(
      'Fetches owner/name[:variant][@revision] into the cache of Hugging Face, and only the files that it needs: the variant that is named, or the most exact one that fits in the memory of this machine. A download that was cut off goes on where it stopped. hone serve --package owner/name serves it.',
    )
    .option(
      '--bits <32|8|4>',
      'bits per weight that it will be served with: 8 and 4 are made from the checkpoint or the float32 export',
      parseBits,
    )
    .option('--max-cache-bytes <size>', 'most that the cache may hold, such as 20GiB (default: no bound)', parseBound)
    .option('--json', 'print one line of JSON; progress as JSON lines on standard error')
    .action(async (model: string, flags: PullFlags) => {
      const { runPull } = await import('../hub/main.js');
      await runPull(model, flags);
    });
}

function parseBits(text: string): 32 | 8 | 4 {
  const bits = ([32, 8, 4] as const).find((one) => String(one) === text);
  if (bits === undefined) throw new InvalidArgumentError('It must be 32, 8 or 4.');
  return bits;
}

function parseBound(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError('It must be a size, such as 20GiB.');
  return bytes;
}
