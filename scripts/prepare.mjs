// Prepares a clone to run: a supported Node, installed packages, compiled sources. Quick if everything is up to date.

import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { onSupportedNode } from './on-node.mjs';

/** @param part `run` for the program; `test` for the program and its tests */
export async function prepare(part) {
  await onSupportedNode(part);
  await install(part);
  await build(part);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await prepare('run');
