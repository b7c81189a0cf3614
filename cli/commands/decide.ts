/** `hone promote` and `hone reject`: the user decides about a candidate. */

import type { Command } from 'commander';
import { commandName } from '../../src/command-name.js';
import { addConnectionFlags, type ConnectionFlags, parseCount, withClient } from '../flags.js';
import { formatDigest, print, printJson } from '../output.js';

interface RejectFlags extends ConnectionFlags {
  readonly reason?: string;
}

/** Adds `hone promote`. */
export function addPromoteCommand(program: Command): void {
  const command = program
    .command('promote')
    .summary('serve a candidate')
    .description('Makes a candidate, or the version on trial, live. Running requests finish on their old version.')
    .argument('<version>', 'number of the version, from hone versions', parseCount);
  addConnectionFlags(command).action(async (number: number, flags: ConnectionFlags) => {
    await withClient(flags, async (client, signal) => {
      const version = await client.promote(number, { signal });
      if (flags.json) printJson(version);
      else {
        print(`version ${version.number} is live (${formatDigest(version.adapterDigest)})`);
        print(`To serve an older version again: ${commandName()} rollback <version>`);
      }
    });
  });
}

/** Adds `hone reject`. */
export function addRejectCommand(program: Command): void {
  const command = program
    .command('reject')
    .summary('reject a candidate')
    .description(
      'Rejects a candidate, or the version on trial, for good. If the learner has continued from its weights, it goes back to the live weights.',
    )
    .argument('<version>', 'number of the version, from hone versions', parseCount)
    .option('--reason <text>', 'reason to keep with the version');
  addConnectionFlags(command).action(async (number: number, flags: RejectFlags) => {
    await withClient(flags, async (client, signal) => {
      const version = await client.reject(number, flags.reason, { signal });
      if (flags.json) printJson(version);
      else print(`version ${version.number} is rejected: ${version.rejectedBecause}`);
    });
  });
}
