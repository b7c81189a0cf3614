/** Chooses the file of a folder that is served, and says why. */

import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { chooseVariant, findVariants, inBinaryUnits, type RepositoryFile, type Variant } from '../hub/index.js';

export interface FileRequest {
  readonly directory: string;
  /** The file that the user asked for, by its path in the folder; a checkpoint by its file or index. */
  readonly modelFile?: string | undefined;
  readonly bits?: 32 | 8 | 4 | undefined;
  /** Memory that this process may use, bytes. */
  readonly memoryBytes: number;
}

export interface ChosenFile {
  readonly kind: 'onnx' | 'checkpoint';
  /** Path in the folder, with `/`. */
  readonly modelFile: string;
  /** For people. */
  readonly reason: string;
  /** Other files that could be served, for people. Empty if there are none. */
  readonly others: readonly string[];
}

/**
 * @throws HoneError `PACKAGE_INVALID` if the folder holds no model that Hone reads, `INVALID_OPTIONS` if it lacks the
 * file that was asked for
 */
export function chooseFile(files: readonly RepositoryFile[], request: FileRequest): ChosenFile {
  const { directory, modelFile, bits, memoryBytes } = request;
  const variants = findVariants(files);
  if (modelFile !== undefined) return takeNamed(files, variants, directory, modelFile);
  if (variants.length === 0) {
    throw new HoneError(
      'PACKAGE_INVALID',
      `${directory}: holds no model that Hone reads: no onnx/model.onnx or model.onnx (or model_q4.onnx and so on), no ` +
        'folder with genai_config.json, and no model.safetensors; export the model, or download its weights as safetensors',
    );
  }
  const { variant, reason } = chooseVariant(variants, undefined, { memoryBytes, bits }, directory);
  const others = variants.filter((one) => one !== variant);
  return {
    kind: variant.kind === 'checkpoint' ? 'checkpoint' : 'onnx',
    modelFile: variant.modelFile,
    reason,
    others: others.map(describe),
  };
}

const describe = ({ modelFile, bytes }: Variant): string => `${modelFile} (${inBinaryUnits(bytes)})`;

const checkpointFile = /^(?:model\.safetensors(?:\.index\.json)?|model-\d+-of-\d+\.safetensors)$/;

function takeNamed(
  files: readonly RepositoryFile[],
  variants: readonly Variant[],
  directory: string,
  modelFile: string,
): ChosenFile {
  const path = modelFile.replaceAll('\\', '/').replace(/^\.\//, '');
  const about = { modelFile: path, reason: 'asked for', others: [] };
  const isThere = files.some((file) => file.path === path);
  if (isThere && path.endsWith('.onnx')) return { ...about, kind: 'onnx' };
  if (isThere && checkpointFile.test(path)) return { ...about, kind: 'checkpoint' };
  const why = isThere ? 'is neither an .onnx file nor a checkpoint (model.safetensors)' : 'is not there';
  const there = variants.length === 0 ? '' : `. There are: ${variants.map(describe).join('; ')}`;
  throw new HoneError(
    'INVALID_OPTIONS',
    `--model-file ${modelFile}: ${join(directory, path)} ${why}; give the path of the model's file in the folder${there}`,
  );
}
