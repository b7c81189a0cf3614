/** `hone erase`: erases all data of a subject. */

import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { ErasureResult } from '../../client/index.js';
import { commandName } from '../../src/command-name.js';
import { printableJson } from '../../src/printable.js';
import { UsageError } from '../failure.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../flags.js';
import { print, printJson } from '../output.js';

interface EraseFlags extends ConnectionFlags {
  readonly retrain?: boolean;
  readonly yes?: boolean;
}

/** Adds the command. */
export function addEraseCommand(program: Command): void {
  const command = program
    .command('erase')
    .summary('erase all data of a subject')
    .description(
      'Erases everything that is stored of a subject (prompts, completions, scores, preferences) from the store and its log, and lists the versions that learned from it. With --retrain, the server goes back to weights that did not learn from it, and learns again from the data that is left. Erase backups and exports yourself.',
    )
    .argument('<subject>', 'the subject that the requests were sent with')
    .option('--retrain', 'also remove the versions that learned from erased data, and learn again without it')
    .option('--yes', 'do not ask for confirmation');
  addConnectionFlags(command).action(async (subject: string, flags: EraseFlags) => {
    if (flags.yes !== true) await confirm(subject, flags.retrain === true);
    await withClient(flags, async (client, signal) => {
      const result = await client.eraseSubject(subject, { signal, retrain: flags.retrain === true });
      if (flags.json) printJson(result);
      else print(...describe(result, flags.retrain === true));
    });
  });
}

async function confirm(subject: string, retrain: boolean): Promise<void> {
  if (!process.stdin.isTTY) throw new UsageError('erasing cannot be undone: give --yes to confirm it.');
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const also = retrain ? ', and the versions that learned from it' : '';
    const answer = await prompt.question(
      `Erase all data of ${printableJson(subject)}${also}? This cannot be undone. [y/N] `,
    );
    if (!/^y(es)?$/i.test(answer.trim())) throw new UsageError('nothing was erased.');
  } finally {
    prompt.close();
  }
}

function describe(result: ErasureResult, retrain: boolean): string[] {
  const { generations, scores, preferences, prompts, versions, live, removedWeights, logCleared } = result;
  const lines = [
    `erased: ${generations} generations, ${scores} scores, ${preferences} preferences, ${prompts} prompts`,
  ];
  if (!logCleared) {
    lines.push(
      'the log of the store still holds copies, because another program is reading it; they are erased when that program and the server have ended',
    );
  }
  if (versions.length === 0) lines.push('no version is known to have learned from it');
  else lines.push(`versions that learned from it, or descend from one that did: ${versions.join(', ')}`);
  if (live !== undefined) lines.push(`version ${live.number} is live, with the weights of version ${live.parent ?? 0}`);
  if (removedWeights.length > 0) lines.push(`adapters removed: ${removedWeights.join(', ')}`);
  if (versions.length > 0 && !retrain) {
    lines.push(`To learn again without it: ${commandName()} erase <subject> --retrain`);
  }
  return lines;
}
