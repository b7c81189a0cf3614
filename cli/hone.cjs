#!/usr/bin/env node
/**
 * The first file of the `hone` command: hands over to cli/main.ts, unless this Node is too old for it. JavaScript
 * of 2015 and no compiler's output, so that a Node of any age can read it to its end and say what is needed.
 *
 * Exit codes as in docs/errors.md: 78 where a server was to be started, which trying again does not help; else 1.
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
  refuse(`${neededNode} is needed, this is ${process.versions.node}; https://nodejs.org has newer ones.`);
} else if (!fs.existsSync(main)) {
  refuse(`nothing is built in ${folder} yet: run "npm run build" there.`);
} else {
  import(url.pathToFileURL(main).href);
}
