/** `hone prefer`: records which of two completions of a prompt is better. */

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
    .summary('record which of two completions is better')
    .description(
      'Records that one generation is better than another one of the same prompt. A second preference of the same rater replaces the first.',
    )
    .argument('<better>', 'id of the better generation')
    .argument('<other>', 'id of the other one')
    .option('--tie', 'record that both are equally good')
    .option('--retract', 'retract the preference')
    .option('--rater <name>', 'name of the rater')
    .option('--metric <name>', 'name of the metric')
    .option('--idempotency-key <key>', 'key that makes it safe to repeat the command');
  addConnectionFlags(command).action(async (better: string, other: string, flags: PreferFlags) => {
    const { tie = false, retract = false, rater, metric, idempotencyKey } = flags;
    if (tie && retract) throw new UsageError('give either --tie or --retract.');
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
