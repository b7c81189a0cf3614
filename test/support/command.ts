/** Runs the `hone` command as a process. */

import { type Ended, runPiped } from './processes.js';

/** The compiled main file of the command. */
export const honeCommand = new URL('../../cli/main.js', import.meta.url).pathname;

/** Runs `hone` with these arguments against the server at an address. The address is empty if none is needed. */
export async function hone(address: string, ...args: readonly string[]): Promise<Ended> {
  return honeWithInput(address, '', ...args);
}

/** Runs `hone` with a text on standard input. */
export async function honeWithInput(address: string, input: string, ...args: readonly string[]): Promise<Ended> {
  return runPiped(honeCommand, args, { ...process.env, HONE_ADDRESS: address }, input);
}
