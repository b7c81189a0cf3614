// Installs the packages of the lock file, unless they are installed already.
//
// The packages that Hone needs to run belong to the root; those that only its tests and its lint need belong to the
// workspace in `test/`, and are installed when the tests first run. npm runs no install scripts (.npmrc), so nothing is
// compiled, and nothing but npm packages is downloaded.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, root, runNpm, say, secondsSince, showProgress } from './project.mjs';

/**
 * Installs the packages of the lock file, unless they are installed already. Ends the process if that fails.
 * @param packages `run` for the packages that build and run Hone; `test` for those of the tests as well
 */
export async function install(packages) {
  const wanted = wantedPackages(packages);
  // npm writes this file when everything else is in place.
  const isComplete = existsSync(join(root, 'node_modules/.package-lock.json'));
  if (isComplete && missingOf(wanted).length === 0) return;
  const what = packages === 'test' ? 'the packages of Hone and of its tests' : 'the packages';
  say(`installing ${what} (once; less than half a minute) ...`);
  const started = Date.now();
  const done = showProgress(() => `${wanted.length - missingOf(wanted).length} of ${wanted.length} packages installed`);
  const scope = packages === 'test' ? [] : ['--workspaces=false'];
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const code = await runNpm(['ci', '--include=dev', ...scope, ...quiet]);
  done();
  if (code !== 0)
    fail('the packages could not be installed; npm reports the reason above. Run the command again when it is solved.');
  const missing = missingOf(wanted);
  if (missing.length > 0)
    fail(`npm did not install ${missing.join(', ')}; delete node_modules and run the command again.`);
  say(`packages installed in ${secondsSince(started)} s`);
}

/** @returns path and version of each package in package-lock.json, except optional ones for other platforms */
function wantedPackages(packages) {
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const wanted = new Map();
  const visit = (folder) => {
    const {
      dependencies = {},
      devDependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
    } = locked[folder];
    const isOwn = !folder.includes('node_modules');
    const names = Object.keys({ ...dependencies, ...peerDependencies, ...(isOwn ? devDependencies : {}) });
    for (const name of names) {
      if (name in optionalDependencies) continue;
      const path = findPackage(locked, folder, name);
      if (path === undefined || wanted.has(path) || locked[path].optional) continue;
      wanted.set(path, locked[path].version);
      visit(path);
    }
  };
  visit('');
  if (packages === 'test') visit('test');
  return [...wanted];
}

/** @returns the path at which Node finds a package required from a folder: in the nearest node_modules above it */
function findPackage(locked, folder, name) {
  for (let at = folder; ; at = at.includes('/node_modules/') ? at.slice(0, at.lastIndexOf('/node_modules/')) : '') {
    const path = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (path in locked) return path;
    if (at === '') return undefined;
  }
}

function missingOf(wanted) {
  return wanted.filter(([path, version]) => versionAt(path) !== version).map(([path]) => path);
}

function versionAt(path) {
  try {
    return JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).version;
  } catch {
    // The package is not installed, or npm is just writing it.
    return undefined;
  }
}
