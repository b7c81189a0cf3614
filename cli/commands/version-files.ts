/** `hone versions export` and `hone versions import`: write the adapter of a version into a folder, and read one. */

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { AdapterFiles } from '../../client/index.js';
import { commandName } from '../../src/command-name.js';
import { UsageError } from '../failure.js';
import { addConnectionFlags, type ConnectionFlags, parseCount, withClient } from '../flags.js';
import { formatBytes, print, printJson, quoted } from '../output.js';

/** Adds `export` below `hone versions`. */
export function addExportCommand(versions: Command): void {
  const command = versions
    .command('export')
    .summary('write the adapter of a version into a new folder')
    .description(
      'Writes the adapter of a version into a new folder, in the layout of Hugging Face PEFT: adapter_model.safetensors, adapter_config.json, and version.json with its digest.',
    )
    .argument('<version>', 'number of the version', parseCount)
    .argument('<folder>', 'the folder to write; it must be new');
  addConnectionFlags(command).action(async (number: number, folder: string, flags: ConnectionFlags) => {
    const target = resolve(folder);
    if (existsSync(target)) throw new UsageError(`${target} exists: name a new folder.`);
    await withClient(flags, async (client, signal) => {
      const files = await client.exportVersion(number, { signal });
      await writeFolder(target, files);
      const bytes = Object.values(files).reduce((sum, { length }) => sum + length, 0);
      if (flags.json) printJson({ version: number, folder: target, files: Object.keys(files), bytes });
      else {
        print(`version ${number} is in ${target} (${formatBytes(bytes)})`);
        print(`To import it into a server with the same model: ${commandName()} versions import ${quoted(folder)}`);
      }
    });
  });
}

/** Adds `import` below `hone versions`. */
export function addImportCommand(versions: Command): void {
  const command = versions
    .command('import')
    .summary('import the adapter in a folder as a candidate')
    .description(
      'Makes a new version from the adapter in a folder, which hone versions export or Hugging Face PEFT wrote for the same model. Like a version that was learned, it is a candidate until it goes live or is rejected.',
    )
    .argument('<folder>', 'folder that holds adapter_model.safetensors and adapter_config.json');
  addConnectionFlags(command).action(async (folder: string, flags: ConnectionFlags) => {
    const files = await readFolder(resolve(folder));
    await withClient(flags, async (client, signal) => {
      const version = await client.importVersion(files, { signal });
      if (flags.json) printJson(version);
      else {
        const { rank, scale } = version.metrics;
        print(
          `version ${version.number} is a candidate (rank ${rank}, scale ${scale}, adapter ${version.adapterDigest})`,
        );
        print(`To see whether it goes live: ${commandName()} versions`);
      }
    });
  });
}

/** Writes all files or none: into a folder beside the target, which is then renamed. */
async function writeFolder(target: string, files: AdapterFiles): Promise<void> {
  const draft = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.partial`);
  try {
    await mkdir(draft, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(draft, basename(name)), bytes);
    await rename(draft, target);
  } catch (thrown) {
    await rm(draft, { recursive: true, force: true });
    throw new UsageError(`cannot write ${target}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

async function readFolder(folder: string): Promise<AdapterFiles> {
  const names = ['adapter_model.safetensors', 'adapter_config.json', 'version.json'];
  const files: Record<string, Uint8Array> = {};
  for (const name of names) {
    const path = join(folder, name);
    try {
      files[name] = await readFile(path);
    } catch (thrown) {
      const { code, message } = thrown as NodeJS.ErrnoException;
      // PEFT does not write this file.
      if (name === 'version.json' && code === 'ENOENT') continue;
      if (existsSync(join(folder, 'adapter_model.bin'))) {
        throw new UsageError(
          `${folder} holds adapter_model.bin, a format that Hone does not read: save the adapter as safetensors (safe_serialization=True).`,
        );
      }
      throw new UsageError(`cannot read ${path}: ${message}`);
    }
  }
  return files;
}
