/** `hone versions`: what was learned, newest first. */

import type { Command } from 'commander';
import type { Version } from '../types.js';
import { addConnectionFlags, type ConnectionFlags, parseCount, withClient } from './flags.js';
import { formatDigest, formatNumber, formatTable, formatTime, print, printJson } from './output.js';

interface VersionsFlags extends ConnectionFlags {
  readonly limit: number;
}

/** Adds the command. */
export function addVersionsCommand(program: Command): void {
  const command = program
    .command('versions')
    .summary('list the versions of the policy')
    .description('Lists the versions of the policy, newest first.')
    .option('--limit <count>', 'at most so many; 0 is all', parseCount, 20);
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

/** A table of versions, with the figures that the learner gave all of them. */
export function describeVersions(versions: readonly Version[]): string[] {
  const names = [...new Set(versions.flatMap(({ metrics }) => Object.keys(metrics)))].slice(0, 6);
  const rows = versions.map((version) => [
    String(version.number),
    version.state,
    version.origin,
    version.parent === undefined ? '' : String(version.parent),
    formatTime(version.createdAtMs),
    formatDigest(version.adapterDigest),
    ...names.map((name) => formatNumber(version.metrics[name])),
  ]);
  return formatTable(['version', 'state', 'origin', 'parent', 'made', 'adapter', ...names], rows);
}
