#!/usr/bin/env node
/**
 * The entry of the `hone` command. It loads cli/main.ts, or reports that this Node is too old. The file is written by
 * hand in JavaScript of 2015, so that a Node of any age can run it.
 *
 * Exit codes (docs/errors.md): 78 for `hone serve`, because starting the server again would not help; otherwise 1.
 */
'use strict';

const fs = require('fs');
const path = require('path');
const url = require('url');
const { isSupported, neededNode } = require('./needed-node.cjs');

const folder = path.join(__dirname, '..');
const main = path.join(folder, 'dist/cli/main.js');

function refuse(reason) {
  process.stderr.write(`hone: ${reason}\n`);
  process.exitCode = process.argv[2] === 'serve' ? 78 : 1;
}

if (!isSupported(process.versions.node)) {
  refuse(`this is Node ${process.versions.node}, Hone needs ${neededNode}; install it from https://nodejs.org.`);
} else if (!fs.existsSync(main)) {
  refuse(`${folder} is not built yet; run "npm run build" there.`);
} else {
  import(url.pathToFileURL(main).href);
}
