/** The `hone` command as a process, against a server that runs. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The file that `hone` runs. */
export const honeCommand = new URL('../../client/cli/main.js', import.meta.url).pathname;

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `hone` with these arguments against the server at an address; empty for what needs none. */
export async function hone(address: string, ...args: readonly string[]): Promise<CommandResult> {
  return honeWithInput(address, '', ...args);
}

/** The same, with something on standard input. */
export async function honeWithInput(
  address: string,
  input: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const env = { ...process.env, HONE_ADDRESS: address };
  const child = spawn(process.execPath, [honeCommand, ...args], { env, stdio: 'pipe' });
  child.stdin.end(input);
  let out = '';
  let err = '';
  child.stdout.on('data', (piece: Buffer) => {
    out += piece;
  });
  child.stderr.on('data', (piece: Buffer) => {
    err += piece;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}
