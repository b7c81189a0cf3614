/** `hone prefer`: which of two completions of a prompt is better. */

import type { Command } from 'commander';
import { UsageError } from '../failure.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../flags.js';
import { sendOne } from './feedback.js';

interface PreferFlags extends ConnectionFlags {
  readonly tie?: boolean;
  readonly retract?: boolean;
  readonly rater?: string;
  readonly metric?: string;
  readonly idempotencyKey?: string;
}

/** Adds the command. */
export function addPreferCommand(program: Command): void {
  const command = program
    .command('prefer')
    .summary('say which of two completions is better')
    .description(
      'Says that one generation is better than another one of the same prompt. A second preference of the same rater replaces the first.',
    )
    .argument('<better>', 'id of the better generation')
    .argument('<other>', 'id of the other one')
    .option('--tie', 'neither is better')
    .option('--retract', 'take the preference back')
    .option('--rater <name>', 'who says so')
    .option('--metric <name>', 'what is compared')
    .option('--idempotency-key <key>', 'makes repeating the command safe');
  addConnectionFlags(command).action(async (better: string, other: string, flags: PreferFlags) => {
    const { tie = false, retract = false, rater, metric, idempotencyKey } = flags;
    if (tie && retract) throw new UsageError('give --tie or --retract, not both.');
    const preference = retract ? null : tie ? 'tie' : 'better';
    await withClient(flags, (client, signal) => {
      const item = {
        generationId: better,
        otherGenerationId: other,
        preference,
        rater,
        metric,
        idempotencyKey,
      } as const;
      return sendOne(client, item, flags, signal);
    });
  });
}
