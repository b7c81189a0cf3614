/** The `hone` command as a process, against a server that runs. */

import { type Ended, runPiped } from './processes.js';

/** The file that `hone` runs. */
export const honeCommand = new URL('../../cli/main.js', import.meta.url).pathname;

/** Runs `hone` with these arguments against the server at an address; empty for what needs none. */
export async function hone(address: string, ...args: readonly string[]): Promise<Ended> {
  return honeWithInput(address, '', ...args);
}

/** The same, with something on standard input. */
export async function honeWithInput(address: string, input: string, ...args: readonly string[]): Promise<Ended> {
  return runPiped(honeCommand, args, { ...process.env, HONE_ADDRESS: address }, input);
}
