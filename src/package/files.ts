/**
 * Reads a package's files, checks JSON with a schema, and computes the package's digest. Errors name file and remedy.
 */

import { createHash, type Hash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { HoneError } from '../errors.js';

/** Returns a `PACKAGE_INVALID` error about one file of a package. */
export function invalidPackage(directory: string, file: string, problem: string, cause?: unknown): HoneError {
  return new HoneError('PACKAGE_INVALID', `${join(directory, file)}: ${problem}`, { cause });
}

/** Whether a file is the small text that Git LFS leaves in the place of a large file. */
export function isLfsPointer(beginning: string): boolean {
  return beginning.startsWith('version https://git-lfs');
}

export const lfsPointer = 'is a Git LFS pointer, and not the file; run "git lfs pull"';

/** Reads a file of the package. @throws HoneError `PACKAGE_INVALID` if it cannot be read */
export async function readBytes(directory: string, file: string): Promise<Buffer> {
  try {
    return await readFile(join(directory, file));
  } catch (cause) {
    throw invalidPackage(
      directory,
      file,
      'cannot be read; a package is a Hugging Face model folder with config.json, tokenizer.json, ' +
        'tokenizer_config.json and onnx/model.onnx',
      cause,
    );
  }
}

/** Reads a text file of the package. @throws HoneError `PACKAGE_INVALID` if it cannot be read */
export async function readText(directory: string, file: string): Promise<string> {
  return (await readBytes(directory, file)).toString('utf8');
}

/**
 * Reads a JSON file of the package and checks it with a schema.
 * @param remedy returns the remedy for a file that does not fit, given its content
 * @throws HoneError `PACKAGE_INVALID` with the path of each bad field
 */
export async function readJson<Schema extends z.ZodType>(
  directory: string,
  file: string,
  schema: Schema,
  remedy: (value: unknown) => string = () => 'correct it, or download or export the file again',
): Promise<z.output<Schema>> {
  const text = await readText(directory, file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notJson(directory, file, text, cause);
  }
  return checkJson(directory, file, value, schema, remedy);
}

/** Returns the error for a file that should be JSON. */
export function notJson(directory: string, file: string, beginning: string, cause: unknown): HoneError {
  const problem = isLfsPointer(beginning) ? lfsPointer : 'is not JSON; download or export the file again';
  return invalidPackage(directory, file, problem, cause);
}

/** Does with the value of a file what {@link readJson} does. */
export function checkJson<Schema extends z.ZodType>(
  directory: string,
  file: string,
  value: unknown,
  schema: Schema,
  remedy: (value: unknown) => string,
): z.output<Schema> {
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const problems = checked.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
  throw invalidPackage(directory, file, `does not fit (${problems.join('; ')}); ${remedy(value)}`);
}

export async function fileExists(directory: string, file: string): Promise<boolean> {
  return stat(join(directory, file)).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Returns the SHA-256 (hex) over name, length and bytes of each file, in the order of their names. */
export async function digestFiles(directory: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update('hone-package-1\n');
  for (const file of [...files].sort()) {
    const path = join(directory, file);
    try {
      const { size } = await stat(path);
      hash.update(`${file}\n${size}\n`);
      await hashFile(path, hash);
    } catch (cause) {
      throw invalidPackage(directory, file, 'cannot be read; the package is incomplete', cause);
    }
  }
  return hash.digest('hex');
}

const pieceBytes = 1 << 20;

/** Hashes a file in pieces. Two buffers take turns, because allocating one per piece takes a third of the time. */
async function hashFile(path: string, hash: Hash): Promise<void> {
  await using file = await open(path);
  let [piece, next] = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)];
  let reading = file.read(piece, 0, pieceBytes);
  for (;;) {
    const { bytesRead } = await reading;
    if (bytesRead === 0) return;
    // The next piece is read while this one is hashed.
    reading = file.read(next, 0, pieceBytes);
    hash.update(piece.subarray(0, bytesRead));
    [piece, next] = [next, piece];
  }
}
