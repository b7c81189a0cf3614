/** The int8 variant of a package, written by `hone quantize` as users write it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchModel } from './models.js';
import { say } from './progress.js';

/** Quantises anew, below the system's temporary folder. Undefined, with a message, where the command fails. */
export async function makeInt8Package({ name, directory }: BenchModel): Promise<string | undefined> {
  const folder = join(tmpdir(), 'hone-bench');
  await mkdir(folder, { recursive: true });
  const output = join(folder, `${name}-int8`);
  say(`${name}: quantising to int8 ...`);
  const command = fileURLToPath(new URL('../../client/cli/main.js', import.meta.url));
  const args = ['quantize', directory, '--output', output, '--bits', '8', '--force'];
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'ignore', 2] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return output;
  say(`${name}: no int8 package: hone quantize says why above`);
  return undefined;
}
