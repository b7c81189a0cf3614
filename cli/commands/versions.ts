/** `hone versions`: lists the versions, newest first, and shows one with the gate's verdict. */

import type { Command } from 'commander';
import type { Version } from '../../client/index.js';
import { commandName } from '../../src/command-name.js';
import { addConnectionFlags, type ConnectionFlags, parseCount, withClient } from '../flags.js';
import { formatDigest, formatFixed, formatNumber, formatTable, print, printJson } from '../output.js';
import { formatTime } from '../times.js';
import { addExportCommand, addImportCommand } from './version-files.js';

interface VersionsFlags extends ConnectionFlags {
  readonly limit: number;
}

/** Adds the command. */
export function addVersionsCommand(program: Command): void {
  const command = program
    .command('versions')
    .summary('list, show, export or import versions of the policy')
    .description(
      'Lists the versions of the policy, newest first. Steps and scores count from the first version on; reward, KL and loss are those of the round that made the version. --json prints all figures; hone versions show <version> also shows the verdict of the gate.',
    )
    .option('--limit <count>', 'most versions to list; 0 for all', parseCount, 20);
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
  addShowCommand(command);
}

function addShowCommand(versions: Command): void {
  const command = versions
    .command('show')
    .summary('show one version with the verdict of the gate')
    .description('Shows one version: its state, the outcome of each check of the gate, and its figures.')
    .argument('<version>', 'number of the version', parseCount);
  addConnectionFlags(command).action(async (number: number, _: ConnectionFlags, self: Command) => {
    // `hone versions` has flags of the same names, and commander assigns each flag to the first command that knows it.
    const flags = self.optsWithGlobals<ConnectionFlags>();
    await withClient(flags, async (client, signal) => {
      const version = await client.version(number, { signal });
      if (flags.json) printJson(version);
      else print(...describeVersion(version));
    });
  });
}

/** Describes one version: its facts, its figures, and the gate's verdict as a table. */
function describeVersion(version: Version): string[] {
  const { number, state, origin, parent, verdict, metrics } = version;
  const facts: [string, string][] = [
    ['version', `${number}, ${state}`],
    ['origin', `${origin}${parent === undefined ? '' : `, from version ${parent}`}`],
    ['made', formatTime(version.createdAtMs)],
    ['adapter', version.adapterDigest],
  ];
  if (version.rejectedBecause !== '') facts.push(['rejected', version.rejectedBecause]);
  const lines = facts.map(([name, text]) => `${name.padEnd(9)}  ${text}`);
  const figures = (numbers: Readonly<Record<string, number>>): string =>
    Object.entries(numbers)
      .map(([name, value]) => `${name} ${formatNumber(value)}`)
      .join(', ');
  if (Object.keys(metrics).length > 0) lines.push(`${'figures'.padEnd(9)}  ${figures(metrics)}`);
  if (verdict.length === 0) lines.push(`${'gate'.padEnd(9)}  not judged`);
  else {
    const rows = verdict.map(({ check, outcome, detail, numbers }) => [check, outcome, detail, figures(numbers)]);
    lines.push('', ...formatTable(['check', 'outcome', 'because', 'figures'], rows));
  }
  const decide = `To decide: ${commandName()} promote ${number}, or ${commandName()} reject ${number}`;
  if (state === 'candidate' || state === 'shadow' || state === 'canary') lines.push('', decide);
  return lines;
}

/** The metrics of a version that the table shows: title, name, decimals. The JSON has all metrics. */
const columns = [
  ['steps', 'steps', 0],
  ['scores', 'scores_seen', 0],
  ['reward', 'mean_reward', 3],
  ['KL', 'kl', 2],
  ['loss', 'loss', 3],
] as const;

/** Formats a table of versions, with figures of the round that made each. */
function describeVersions(versions: readonly Version[]): string[] {
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
