/** Lists the files of a model's folder that may belong to a package. */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RepositoryFile } from '../hub/index.js';

/** Folders below the model's own: `cpu_and_mobile/<form>/`, and one more. */
const deepest = 3;
/** A folder with more files is no model's folder, and is not searched to its end. */
const mostFiles = 5000;

/** Returns the files with their paths and sizes. Links count as what they lead to, as in a download cache. */
export async function listFolder(root: string): Promise<RepositoryFile[]> {
  const files: RepositoryFile[] = [];
  await list(root, '', 0, files);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function list(root: string, folder: string, depth: number, files: RepositoryFile[]): Promise<void> {
  const names = await readdir(join(root, folder)).catch(() => []);
  for (const name of names.sort()) {
    if (files.length >= mostFiles) return;
    if (name.startsWith('.') || name === 'node_modules') continue;
    const path = folder === '' ? name : `${folder}/${name}`;
    const found = await stat(join(root, path)).catch(() => undefined);
    if (found?.isFile() === true) files.push({ path, size: found.size });
    else if (found?.isDirectory() === true && depth < deepest) await list(root, path, depth + 1, files);
  }
}
