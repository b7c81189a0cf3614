/**
 * The way from a folder of any layout to a package that can be opened. A folder in the usual layout with numbers that
 * Hone computes with is opened as it is, and no more than this file is loaded for it.
 */

import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { needsConversion } from '../conversion/numbers/needs-conversion.js';
import { readModel } from '../onnx/index.js';
import { type PreparedPackage, type PrepareOptions, usualFile } from './prepared-package.js';

/**
 * Prepares the package in a folder. What was prepared before is found again, and lasts until the cache is deleted.
 * @throws HoneError `PACKAGE_INVALID`, `OPERATOR_UNSUPPORTED`, `INVALID_OPTIONS`, `CANCELLED`; a conversion that was
 * stopped goes on where it was the next time
 */
export async function preparePackage(directory: string, options: PrepareOptions): Promise<PreparedPackage> {
  const root = resolve(directory);
  const { modelFile = usualFile, bits } = options;
  if (modelFile === usualFile && bits === undefined && (await isFile(join(root, usualFile)))) {
    const judge = join(root, usualFile);
    const asIs = { directory: root, modelFile, way: 'as_is', judge } as const;
    const model = await readModel(judge).catch(() => undefined);
    // A file that cannot be read is refused when it is opened, with its reason.
    if (model === undefined) return asIs;
    if (needsConversion(model) === null) return { ...asIs, model };
  }
  const { prepareOtherForm } = await import('./other-forms.js');
  return await prepareOtherForm(root, options);
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true;
}
