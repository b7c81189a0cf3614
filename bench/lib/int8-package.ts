/** Makes the int8 variant of a package, as `hone quantize` does. */

import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoneError } from '../../src/errors.js';
import { defaultBlockSizes, quantizePackage } from '../../src/package/index.js';
import type { BenchModel } from './models.js';
import { say } from './progress.js';

/** Quantises into the system's temporary folder. Prints a message and returns undefined if the package cannot be quantised. */
export async function makeInt8Package({ name, directory }: BenchModel): Promise<string | undefined> {
  const folder = join(tmpdir(), 'hone-bench');
  await mkdir(folder, { recursive: true });
  const output = join(folder, `${name}-int8`);
  say(`${name}: quantising to int8 ...`);
  try {
    await quantizePackage(directory, output, { bits: 8, blockSize: defaultBlockSizes[8], head: true, force: true });
    return output;
  } catch (error) {
    say(`${name}: no int8 package: ${HoneError.from(error).message}`);
    return undefined;
  }
}
