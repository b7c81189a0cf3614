/**
 * Writes a folder in which a model's files have the places of a package: the ONNX file as `onnx/model.onnx` with its data
 * files beside it, configuration and tokenizer above. The files themselves are linked, so it takes no space.
 */

import { copyFile, mkdir, realpath, symlink } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { systemCode } from '../file-system-errors.js';
import type { RepositoryFile } from '../hub/index.js';
import { isExternal, readModel } from '../onnx/index.js';
import { listFolder } from './folder-files.js';
import { usualFile } from './prepared-package.js';

const companion = /^[^/]+\.(?:json|jinja|txt|model)$|^(?:LICEN[CS]E|NOTICE)[^/]*$|^additional_chat_templates\/[^/]+$/;
const indexOfShards = /\.index\.json$/;

/** The files of a folder that stand beside the model's own: those of the model's folder win over those of the root. */
export function companionsOf(files: readonly RepositoryFile[], modelFolder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of ['', modelFolder]) {
    for (const { path } of files) {
      if (folder !== '' && !path.startsWith(`${folder}/`)) continue;
      const name = folder === '' ? path : path.slice(folder.length + 1);
      if (companion.test(name) && !indexOfShards.test(name)) found.set(name, path);
    }
  }
  return found;
}

/** Links the package into `draft`. @throws HoneError `MODEL_INVALID` if the ONNX file cannot be read */
export async function linkPackage(
  source: string,
  modelFile: string,
  files: readonly RepositoryFile[],
  draft: string,
): Promise<void> {
  const folder = posix.dirname(modelFile) === '.' ? '' : posix.dirname(modelFile);
  const places = companionsOf(files, folder);
  places.set(usualFile, modelFile);
  for (const location of await locationsIn(join(source, modelFile))) {
    const path = posix.join(folder, location);
    // A file that is missing, or that lies elsewhere, is refused with its reason when the package is opened.
    if (files.some((file) => file.path === path)) places.set(posix.join('onnx', location), path);
  }
  for (const [place, path] of places) await link(join(source, path), join(draft, place));
}

/** Copies what stands beside the model of a package. */
export async function copyCompanions(source: string, target: string): Promise<void> {
  for (const [place, path] of companionsOf(await listFolder(source), '')) {
    await mkdir(dirname(join(target, place)), { recursive: true });
    await copyFile(join(source, path), join(target, place));
  }
}

async function locationsIn(modelPath: string): Promise<Set<string>> {
  const { initializers } = await readModel(modelPath);
  const locations = new Set<string>();
  for (const { data } of initializers.values()) if (isExternal(data)) locations.add(data.location);
  return locations;
}

/** Links, or copies where there can be no links. */
async function link(source: string, place: string): Promise<void> {
  await mkdir(dirname(place), { recursive: true });
  const target = await realpath(source);
  try {
    await symlink(target, place, 'file');
  } catch (thrown) {
    const noLinks = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'UNKNOWN'];
    if (!noLinks.includes(systemCode(thrown) ?? '')) throw thrown;
    await copyFile(target, place);
  }
}
