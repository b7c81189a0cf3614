/** `hone versions`: what was learned, newest first. */

import type { Command } from 'commander';
import type { Version } from '../types.js';
import { addConnectionFlags, type ConnectionFlags, parseCount, withClient } from './flags.js';
import { formatDigest, formatFixed, formatTable, formatTime, print, printJson } from './output.js';
import { addExportCommand, addImportCommand } from './version-files.js';

interface VersionsFlags extends ConnectionFlags {
  readonly limit: number;
}

/** Adds the command. */
export function addVersionsCommand(program: Command): void {
  const command = program
    .command('versions')
    .summary('list the versions of the policy, export one, import one')
    .description(
      'Lists the versions of the policy, newest first. Steps and scores count from the first version on; reward, KL and loss are those of the round that made the version. --json gives all figures.',
    )
    .option('--limit <count>', 'at most so many; 0 is all', parseCount, 20);
  addExportCommand(command);
  addImportCommand(command);
  addConnectionFlags(command).action(async (flags: VersionsFlags) => {
    await withClient(flags, async (client, signal) => {
      const limit = flags.limit === 0 ? Number.POSITIVE_INFINITY : flags.limit;
      const versions: Version[] = [];
      for await (const version of client.versions({ signal, pageSize: Math.min(limit, 1000) })) {
        if (flags.json) printJson(version);
        versions.push(version);
        if (versions.length >= limit) break;
      }
      if (!flags.json) print(...describeVersions(versions));
    });
  });
}

/** What the table shows of a version's metrics: title, name and decimals. All of them are in the JSON. */
const columns = [
  ['steps', 'steps', 0],
  ['scores', 'scores_seen', 0],
  ['reward', 'mean_reward', 3],
  ['KL', 'kl', 2],
  ['loss', 'loss', 3],
] as const;

/** A table of versions, with the figures that the learner gave of their making. */
export function describeVersions(versions: readonly Version[]): string[] {
  const rows = versions.map((version) => [
    String(version.number),
    version.state,
    version.origin,
    version.parent === undefined ? '' : String(version.parent),
    formatTime(version.createdAtMs),
    version.weights === 'removed' ? '(removed)' : formatDigest(version.adapterDigest),
    ...columns.map(([, name, decimals]) => formatFixed(version.metrics[name], decimals)),
  ]);
  return formatTable(
    ['version', 'state', 'origin', 'parent', 'made', 'adapter', ...columns.map(([title]) => title)],
    rows,
  );
}
