/** `hone export` and `hone import`: what is kept, as lines of JSON. */

import { once } from 'node:events';
import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import type { ImportResult } from '../../client/index.js';
import { exitCodes, UsageError } from '../failure.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../flags.js';
import { formatBytes, jsonLinesForTerminal, print, printJson, remark, rewriteLine } from '../output.js';
import { parseTime, timeHelp } from '../times.js';

interface ExportFlags extends ConnectionFlags {
  readonly subject?: string;
  readonly since?: number;
  readonly scored?: boolean;
}

const progressEveryMs = 1000;

/** Adds the command. */
export function addExportCommand(program: Command): void {
  const command = program
    .command('export')
    .summary('write the stored data as lines of JSON')
    .description(
      'Writes generations, edits, scores and preferences as JSON Lines (docs/replay.md), for analysis or for another server. Without a file, or with -, it writes to standard output.',
    )
    .argument('[file]', 'the file to write; it only appears when it is complete', '-')
    .option('--subject <subject>', 'only the data of this subject')
    .option('--since <time>', `only generations from this time on: ${timeHelp}`, parseTime)
    .option('--scored', 'only generations that have scores');
  addConnectionFlags(command).action(async (file: string, flags: ExportFlags) => {
    await withClient(flags, async (client, signal) => {
      const { subject, since: sinceMs, scored } = flags;
      const progress = new Progress('exported');
      const draft = `${file}.part`;
      const target = file === '-' ? process.stdout : createWriteStream(draft, { mode: 0o600 });
      const shown = file === '-' && process.stdout.isTTY ? jsonLinesForTerminal() : (lines: Uint8Array) => lines;
      let records = 0;
      let bytes = 0;
      try {
        for await (const piece of client.exportReplay({ subject, sinceMs, scored, signal })) {
          records = piece.records;
          bytes += piece.lines.length;
          if (!target.write(shown(piece.lines))) await once(target, 'drain');
          progress.show(() => `${records} records, ${formatBytes(bytes)}`);
        }
        if (file !== '-') {
          target.end();
          await finished(target);
          renameSync(draft, file);
        }
      } catch (thrown) {
        if (file !== '-') rmSync(draft, { force: true });
        throw thrown;
      }
      progress.end();
      const summary = `${records} records, ${formatBytes(bytes)}`;
      if (file === '-') remark(`exported ${summary}`);
      else if (flags.json) printJson({ file, records, bytes });
      else print(`exported ${summary}, to ${file}`);
    });
  });
}

/** Adds the command. */
export function addImportCommand(program: Command): void {
  const command = program
    .command('import')
    .summary('read lines of JSON that an export wrote')
    .description(
      'Stores the records that `hone export` wrote. Records that are stored already are skipped. A record that the server refuses does not affect the others.',
    )
    .argument('<file>', 'the file to read; - is standard input');
  addConnectionFlags(command).action(async (file: string, flags: ConnectionFlags) => {
    const total = file === '-' ? undefined : sizeOf(file);
    await withClient(flags, async (client, signal) => {
      const progress = new Progress('sent');
      const source = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 });
      async function* pieces(): AsyncGenerator<Buffer> {
        let bytes = 0;
        for await (const piece of source as AsyncIterable<Buffer>) {
          yield piece;
          bytes += piece.length;
          progress.show(() => formatBytes(bytes) + (total === undefined ? '' : ` of ${formatBytes(total)}`));
        }
      }
      const result = await client.importReplay(pieces(), { signal });
      progress.end();
      report(result, flags.json === true);
    });
  });
}

function report({ imported, skipped, refused, refusals }: ImportResult, json: boolean): void {
  if (json) printJson({ imported, skipped, refused, refusals });
  else {
    for (const { line, error } of refusals) remark(`line ${line}: ${error.message}`);
    if (refused > refusals.length) remark(`... and ${refused - refusals.length} more`);
    print(`${imported} imported, ${skipped} stored already, ${refused} refused`);
  }
  if (refused > 0) process.exitCode = exitCodes.refused;
}

/** Shows progress in one line of a terminal, on standard error. Prints nothing if that is not a terminal. */
class Progress {
  readonly #what: string;
  #shownAtMs = performance.now();

  constructor(what: string) {
    this.#what = what;
  }

  show(describe: () => string): void {
    const now = performance.now();
    if (now - this.#shownAtMs < progressEveryMs) return;
    this.#shownAtMs = now;
    rewriteLine(`${this.#what} ${describe()}`);
  }

  end(): void {
    rewriteLine();
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (thrown) {
    throw new UsageError(`cannot read ${file}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
