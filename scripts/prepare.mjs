// Brings a clone into a state in which it runs: Node checked, packages installed, sources built. Cheap when all is done.

import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { checkNode, install } from './install.mjs';

export async function prepare() {
  checkNode();
  await install();
  await build();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await prepare();
