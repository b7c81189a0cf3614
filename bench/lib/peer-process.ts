/** Runs each peer in its own process. Peers from npm are installed into `bench/peers` when they are first needed. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from './child-process.js';
import type { Engine, EngineRow } from './engine.js';
import { say } from './progress.js';
import { projectRoot } from './project.js';

/** The folder into which peers from npm are installed. */
export const peersFolder = join(projectRoot, 'bench/peers');

/** The options of a peer. Each script reads the fields that it needs. */
type PeerOptions =
  | { readonly script: 'transformers.mjs'; readonly directory: string; readonly threads: number }
  | {
      readonly script: 'llamacpp.mjs';
      /** Path of a GGUF file. */
      readonly file: string;
      readonly threads: number;
      /** Number of concurrent sequences, and most tokens of each. */
      readonly sequences: number;
      readonly contextSize: number;
      readonly flashAttention: boolean;
    };

/** Installs the peers from their lock file, unless they are installed. Prints a message and returns false if that fails. */
export async function installPeers(): Promise<boolean> {
  // npm writes this file last. If the lock file is newer, it names other versions.
  const installed = statSync(join(peersFolder, 'node_modules/.package-lock.json'), { throwIfNoEntry: false });
  if (installed && installed.mtimeMs >= statSync(join(peersFolder, 'package-lock.json')).mtimeMs) return true;
  say('installing the peers into bench/peers (once; some 600 MB) ...');
  // `install` instead of `ci`, because a lock file may lack the binaries of other platforms. Install scripts are off: the
  // packages hold the binaries for the CPU, and the scripts would download others or compile.
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith('npm-cli.js') ? [process.execPath, [npm]] : ['npm', []];
  const child = spawn(command, [...first, ...args], { cwd: peersFolder, stdio: ['ignore', 2, 2] });
  const [code] = (await Promise.race([once(child, 'exit'), once(child, 'error').then(() => [1])])) as [number | null];
  if (code === 0) return true;
  say('leaving the peers out, because they could not be installed; npm reports the reason above');
  return false;
}

/** Starts a peer. @throws Error if it cannot run, with its reason */
export async function openPeer({ script, ...options }: PeerOptions): Promise<Engine> {
  const child = startChild(join(peersFolder, script), peersFolder);
  try {
    const { about } = await child.ask<{ readonly about: string }>({ type: 'open', ...options });
    return {
      about,
      close: () => child.close(),
      run: async (requests) => (await child.ask<{ readonly rows: EngineRow[] }>({ type: 'run', requests })).rows,
    };
  } catch (error) {
    await child.close();
    throw error;
  }
}
