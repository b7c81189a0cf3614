/** `hone edit`: stores the user's own text in place of a completion. */

import type { Command } from 'commander';
import { commandName } from '../../src/command-name.js';
import { addConnectionFlags, type ConnectionFlags, parseNumber, readStandardInput, withClient } from '../flags.js';
import { quoted } from '../output.js';
import { sendOne } from './feedback.js';

interface EditFlags extends ConnectionFlags {
  readonly score: number;
  readonly rater?: string;
  readonly metric?: string;
  readonly idempotencyKey?: string;
}

/** Adds the command. */
export function addEditCommand(program: Command): void {
  const command = program
    .command('edit')
    .summary('replace a completion by a better text')
    .description(
      'Stores a text of your own, with a score, in place of a completion. The text becomes a generation of its own; the command prints its id.',
    )
    .argument('<generation>', 'id of the generation')
    .argument('[text]', 'the better text; read from standard input if absent or -')
    .requiredOption('--score <number>', 'score of the text, on the same scale as other scores', parseNumber)
    .option('--rater <name>', 'name of the rater')
    .option('--metric <name>', 'name of the metric')
    .option('--idempotency-key <key>', 'key that makes it safe to repeat the command');
  addConnectionFlags(command).action(async (generationId: string, text: string | undefined, flags: EditFlags) => {
    const edit = text === undefined || text === '-' ? await readStandardInput('text') : text;
    const { score, rater, metric, idempotencyKey } = flags;
    const by = [
      rater === undefined ? '' : ` --rater ${quoted(rater)}`,
      metric === undefined ? '' : ` --metric ${quoted(metric)}`,
    ];
    const item = { generationId, edit, score, rater, metric, idempotencyKey };
    await withClient(flags, (client, signal) =>
      sendOne(client, item, flags, signal, (outcome) => {
        const id = outcome.status === 'refused' ? '' : outcome.generationId;
        return [`generation ${id}`, `To retract it: ${commandName()} feedback ${id} --retract${by.join('')}`];
      }),
    );
  });
}
