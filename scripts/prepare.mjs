// Brings a clone into a state in which it runs: packages installed, sources built. Cheap when all is done.

import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { onSupportedNode } from './on-node.mjs';

/** @param part `run`: what runs Hone; `test`: that and its tests */
export async function prepare(part) {
  await onSupportedNode(part);
  await install(part);
  await build(part);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await prepare('run');
