// Installs the packages of the lock file where they are not installed already.
//
// Nothing has to be known or set beforehand: the CUDA download of onnxruntime-node is skipped (its CPU binary comes with
// the package), and node-gyp is pointed at the headers of the running Node where they are on this machine.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail, root, runNode, runProgram, say } from './project.mjs';

const minimumNode = [20, 19];
const nativeAddon = join(root, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node');
// A native addon serves one platform and one ABI of Node: this file says which.
const abiStamp = join(root, 'node_modules/.hone-abi');
const abi = `${process.platform}-${process.arch}-${process.versions.modules}`;

/** Ends the process unless Node is new enough. */
export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1])) return;
  fail(
    `Node ${minimumNode.join('.')} or newer is needed, this is ${process.versions.node}. Install a newer one from https://nodejs.org and run the command again.`,
  );
}

/** True if node_modules holds what package-lock.json asks for, built for this Node. */
export function isInstalled() {
  try {
    const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
    const present = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages;
    const complete = Object.entries(wanted).every(
      ([path, { version, optional, devOptional }]) =>
        path === '' ||
        (present[path] === undefined ? Boolean(optional || devOptional) : present[path].version === version),
    );
    const abiFits = !existsSync(abiStamp) || readFileSync(abiStamp, 'utf8') === abi;
    return complete && abiFits && existsSync(nativeAddon);
  } catch {
    return false;
  }
}

/** Where the headers of exactly this Node lie, if they are on this machine. */
function findHeaders() {
  for (const prefix of [dirname(dirname(process.execPath)), '/usr', '/usr/local']) {
    try {
      const header = readFileSync(join(prefix, 'include/node/node_version.h'), 'utf8');
      const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(header)?.[1];
      if ([part('MAJOR'), part('MINOR'), part('PATCH')].join('.') === process.versions.node) return prefix;
    } catch {
      // No headers there: try the next place.
    }
  }
  return undefined;
}

/** Installs from the lock file unless that is done already. Ends the process if it cannot. */
export async function install() {
  if (isInstalled()) return;
  say('installing the packages (once; a minute or two) ...');
  const started = Date.now();
  const progress = setInterval(() => say(`  ${secondsSince(started)} s: ${describeProgress()}`), 10_000);
  const headers = process.env.npm_config_nodedir === undefined ? findHeaders() : undefined;
  // JOBS is for node-gyp: the native part compiles on all cores.
  const env = {
    ONNXRUNTIME_NODE_INSTALL: 'skip',
    JOBS: 'max',
    ...(headers === undefined ? {} : { npm_config_nodedir: headers }),
  };
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  // `npm start` tells where npm itself lies; that works where `npm` is a shell script that spawn cannot start.
  const npm = process.env.npm_execpath;
  const code = npm?.endsWith('npm-cli.js') ? await runNode(npm, args, env) : await runProgram('npm', args, env);
  clearInterval(progress);
  if (code !== 0)
    fail('the packages could not be installed: npm says why above. Run the command again once that is solved.');
  if (!existsSync(nativeAddon)) {
    fail(
      'better-sqlite3 was not built. It needs a prebuilt binary for this platform, or python3, make and a C++ compiler; then delete node_modules and run the command again.',
    );
  }
  writeFileSync(abiStamp, abi);
  say(`packages installed in ${secondsSince(started)} s`);
}

function secondsSince(started) {
  return Math.round((Date.now() - started) / 1000);
}

/** How far npm has come, as seen from outside. */
function describeProgress() {
  const packages = Object.entries(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages);
  const wanted = packages.filter(([path, { optional }]) => path !== '' && !optional);
  const unpacked = wanted.filter(([path]) => existsSync(join(root, path, 'package.json'))).length;
  if (unpacked < wanted.length) return `${unpacked} of ${wanted.length} packages unpacked`;
  return 'all packages unpacked, building the store\u2019s native part';
}
