/** `hone promote` and `hone reject`: a person decides about a candidate. */

import type { Command } from 'commander';
import { commandName } from '../../proto/command-name.js';
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
    .description('Makes a candidate, or the version on trial, live. Requests that run are not disturbed.')
    .argument('<version>', 'its number: see hone versions', parseCount);
  addConnectionFlags(command).action(async (number: number, flags: ConnectionFlags) => {
    await withClient(flags, async (client, signal) => {
      const version = await client.promote(number, { signal });
      if (flags.json) printJson(version);
      else {
        print(`version ${version.number} is live (${formatDigest(version.adapterDigest)})`);
        print(`${commandName()} rollback <version> goes back to an older one`);
      }
    });
  });
}

/** Adds `hone reject`. */
export function addRejectCommand(program: Command): void {
  const command = program
    .command('reject')
    .summary('turn a candidate down')
    .description(
      'Turns a candidate, or the version on trial, down for good. The learner goes back to the live weights where it has trained on from it.',
    )
    .argument('<version>', 'its number: see hone versions', parseCount)
    .option('--reason <text>', 'why; kept with the version');
  addConnectionFlags(command).action(async (number: number, flags: RejectFlags) => {
    await withClient(flags, async (client, signal) => {
      const version = await client.reject(number, flags.reason, { signal });
      if (flags.json) printJson(version);
      else print(`version ${version.number} is rejected: ${version.rejectedBecause}`);
    });
  });
}
