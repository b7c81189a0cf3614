/** `hone rollback`: serves the weights of an older version again. */

import type { Command } from 'commander';
import { addConnectionFlags, type ConnectionFlags, parseCount, withClient } from '../flags.js';
import { formatDigest, print, printJson } from '../output.js';

/** Adds the command. */
export function addRollbackCommand(program: Command): void {
  const command = program
    .command('rollback')
    .summary('serve the weights of an older version')
    .description(
      'Makes a new version with the weights of an older one and serves it. Running requests finish on their old version.',
    )
    .argument('<version>', 'number of the version to go back to', parseCount);
  addConnectionFlags(command).action(async (number: number, flags: ConnectionFlags) => {
    await withClient(flags, async (client, signal) => {
      const version = await client.rollback(number, { signal });
      if (flags.json) printJson(version);
      else
        print(
          `version ${version.number} is live, with the weights of version ${number} (${formatDigest(version.adapterDigest)})`,
        );
    });
  });
}
