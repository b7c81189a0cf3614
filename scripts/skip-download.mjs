// Runs before the packages of an installed Hone are set up: keeps onnxruntime-node from downloading CUDA libraries.
//
// On Linux with an x64 processor the install script of onnxruntime-node fetches some hundred megabytes unless it finds
// the libraries in place, and the whole installation fails where it cannot. Hone runs on the CPU binary that comes with
// the package, and a package can set neither npm's configuration nor the environment of its dependencies' scripts; so
// placeholders are put where the script looks. They are never loaded: only sessions that ask for CUDA look for them.
// Who wants CUDA gets the real ones with `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node`.

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const libraries = ['cuda', 'shared', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);

/** The folder of the installed onnxruntime-node, nearest first; undefined in a clone, before anything is installed. */
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
      // It is there already, or cannot be written: then onnxruntime-node's own script decides.
    }
  }
}
