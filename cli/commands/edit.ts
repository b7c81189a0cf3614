/** `hone edit`: a person's own text in a completion's place. */

import type { Command } from 'commander';
import { commandName } from '../../proto/command-name.js';
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
    .summary('say what a completion should have been')
    .description(
      'Puts a text of your own, with a score, in the place of a completion. It becomes a generation of its own, which the answer names.',
    )
    .argument('<generation>', 'id of the generation')
    .argument('[text]', 'the text as it should have been; read from standard input when absent or -')
    .requiredOption('--score <number>', 'how good the text is, on the scale of other scores', parseNumber)
    .option('--rater <name>', 'who says so')
    .option('--metric <name>', 'what is measured')
    .option('--idempotency-key <key>', 'makes repeating the command safe');
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
        return [`generation ${id}`, `Take it back: ${commandName()} feedback ${id} --retract${by.join('')}`];
      }),
    );
  });
}
