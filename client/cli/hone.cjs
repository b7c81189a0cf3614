#!/usr/bin/env node
/**
 * The first file of the `hone` command: hands over to client/cli/main.ts, unless this Node is too old for it. JavaScript
 * of 2015 and no compiler's output, so that a Node of any age can read it to its end and say what is needed.
 *
 * Exit codes as in docs/errors.md: 78 where a server was to be started, which trying again does not help; else 1.
 */
'use strict';

const fs = require('fs');
const path = require('path');
const url = require('url');

const folder = path.join(__dirname, '../..');
const main = path.join(folder, 'dist/client/cli/main.js');

/** The oldest Node that will do: `engines` in package.json is the one place where it is written. */
function neededNode() {
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  return manifest.engines.node.replace('>=', '');
}

/** Whether a version such as `22.18.0` is at least another, which may have fewer parts. */
function isAtLeast(version, needed) {
  const have = version.split('.').map(Number);
  const want = needed.split('.').map(Number);
  const decisive = want.findIndex((part, i) => part !== have[i]);
  return decisive === -1 || have[decisive] > want[decisive];
}

function refuse(reason) {
  process.stderr.write(`hone: ${reason}\n`);
  process.exitCode = process.argv[2] === 'serve' ? 78 : 1;
}

const needed = neededNode();
const running = process.versions.node;
if (!isAtLeast(running, needed)) {
  refuse(`Node ${needed} or newer is needed, this is ${running}; https://nodejs.org has newer ones.`);
} else if (!fs.existsSync(main)) {
  refuse(`nothing is built in ${folder} yet: run "npm run build" there.`);
} else {
  import(url.pathToFileURL(main).href);
}
