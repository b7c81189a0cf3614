/** Peers: each in a process of its own, run from `bench/peers`, where they are installed when they are first asked for. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from './child-process.js';
import type { Engine, EngineRow } from './engine.js';
import { say } from './progress.js';
import { projectRoot } from './project.js';

/** Where peers from npm are installed. */
export const peersFolder = join(projectRoot, 'bench/peers');

/** What a peer is opened with; each script reads the fields that concern it. */
export type PeerOptions =
  | { readonly script: 'transformers.mjs'; readonly directory: string; readonly threads: number }
  | {
      readonly script: 'llamacpp.mjs';
      /** A GGUF file. */
      readonly file: string;
      readonly threads: number;
      /** Sequences at once, and tokens that each may hold. */
      readonly sequences: number;
      readonly contextSize: number;
      readonly flashAttention: boolean;
    };

/** Installs the peers from their lock file unless they are installed. False, with a message, where that fails. */
export async function installPeers(): Promise<boolean> {
  // npm writes this file last; a lock file that came later names something else.
  const installed = statSync(join(peersFolder, 'node_modules/.package-lock.json'), { throwIfNoEntry: false });
  if (installed && installed.mtimeMs >= statSync(join(peersFolder, 'package-lock.json')).mtimeMs) return true;
  say('installing the peers into bench/peers (once; some 600 MB) ...');
  // Not `ci`: a lock file that was made on one platform need not name the binaries of another. No install scripts: the
  // binaries for the CPU come in the packages, the scripts would download others or compile.
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith('npm-cli.js') ? [process.execPath, [npm]] : ['npm', []];
  const child = spawn(command, [...first, ...args], { cwd: peersFolder, stdio: ['ignore', 2, 2] });
  const [code] = (await Promise.race([once(child, 'exit'), once(child, 'error').then(() => [1])])) as [number | null];
  if (code === 0) return true;
  say('the peers could not be installed: npm says why above. They are left out.');
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
