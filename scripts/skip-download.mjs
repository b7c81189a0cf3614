// Keeps onnxruntime-node from downloading CUDA libraries. npm runs this file when hone-agent is installed.
//
// On Linux with an x64 processor, the install script of onnxruntime-node downloads several hundred megabytes unless it
// finds the libraries, and the whole installation fails if the download does. Hone needs only the CPU binary, which is in
// the package. But a package can set neither npm's configuration nor the environment of its dependencies' scripts, so
// this file puts placeholders where the script looks. They are never loaded: only sessions that ask for CUDA load them.
// `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node` installs the real libraries.

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const libraries = ['cuda', 'shared', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);

/** @returns the folder of the nearest installed onnxruntime-node; undefined in a clone before the first installation */
function findOnnxRuntime() {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64');
    if (existsSync(found)) return found;
    if (folder === dirname(folder)) return undefined;
  }
}

if (process.platform === 'linux' && process.arch === 'x64' && process.env.ONNXRUNTIME_NODE_INSTALL === undefined) {
  const folder = findOnnxRuntime();
  for (const library of folder === undefined ? [] : libraries) {
    try {
      writeFileSync(join(folder, library), 'placeholder: see scripts/skip-download.mjs of hone-agent\n', {
        flag: 'wx',
      });
    } catch {
      // The file exists already or cannot be written. Then onnxruntime-node's own script decides.
    }
  }
}
