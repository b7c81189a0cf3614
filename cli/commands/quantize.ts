/** `hone quantize`: writes a package of float32 weights with weights of 8 or 4 bits. */

import { type Command, InvalidArgumentError } from 'commander';
import type { QuantizeFlags } from '../quantize/main.js';

/** Adds the command. */
export function addQuantizeCommand(program: Command): void {
  program
    .command('quantize')
    .argument('<package>', 'its folder, or owner/name[:variant][@revision] on a hub')
    .summary('write a package with 8-bit or 4-bit weights')
    .description(
      'Writes a copy of the package with quantised weights, which serves faster and takes less memory, and reports what that changes: size, loss, logits. Adapters and learning work on it as on the original.',
    )
    .requiredOption('--output <folder>', 'the folder to write; it must be new')
    .option('--bits <8|4>', 'bits per weight', oneOf(8, 4), 8)
    .option(
      '--block-size <16|32|64|128>',
      'number of weights that share a scale (default: 128 at 8 bits, 32 at 4)',
      oneOf(16, 32, 64, 128),
    )
    .option('--head', 'quantise the head and the embedding too, to 8 bits (default)', true)
    .option('--no-head', 'leave the head and the embedding in float32')
    .option(
      '--text <file>',
      'texts to measure on: one document per line, or JSON Lines with text, or with prompt and completion',
    )
    .option('--force', 'replace a folder that this command wrote earlier')
    .option('--json', 'print one line of JSON')
    .action(async (source: string, flags: QuantizeFlags) => {
      const { runQuantize } = await import('../quantize/main.js');
      await runQuantize(source, flags);
    });
}

/** Returns a parser that accepts these numbers only, for commander. */
function oneOf<const T extends number>(...allowed: readonly T[]): (text: string) => T {
  return (text) => {
    const value = allowed.find((one) => String(one) === text);
    if (value === undefined) throw new InvalidArgumentError(`It must be ${allowed.join(' or ')}.`);
    return value;
  };
}
