/** What is asked for when a package is prepared, and what comes of it. */

import type { Graph } from '../onnx/index.js';

export interface PrepareOptions {
  /** The file to serve, by its path in the folder. Default: chosen. */
  readonly modelFile?: string | undefined;
  /** Bits of the linear layers' weights. Default: those of the file; 32 for a checkpoint. */
  readonly bits?: 32 | 8 | 4 | undefined;
  /** The folder of Hone's cache. */
  readonly cacheDirectory: string;
  /** Memory that this process may use, bytes. */
  readonly memoryBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with what was chosen and what is being done: sentences for people. */
  readonly onNote?: (note: string) => void;
  /** Called now and then while a package is written. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface PreparedPackage {
  /** A folder that `openPackage` opens. */
  readonly directory: string;
  /** The path in the original folder of the file that it comes from. */
  readonly modelFile: string;
  /** `as_is`: the folder itself; `linked`: its files in other places; the others were written. */
  readonly way: 'as_is' | 'linked' | 'numbers' | 'checkpoint' | 'quantized';
  /** The ONNX file that tells what the model computes: the untouched one, or of a checkpoint the one that was written. */
  readonly judge: string;
  /** The content of the model's file, if it was read on the way: it need not be read again. */
  readonly model?: Graph;
}

/** The place of a package's decoder, which is taken without a look at other files. */
export const usualFile = 'onnx/model.onnx';
