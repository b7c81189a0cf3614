// Installs the packages of the lock file where they are not installed already.
//
// What runs Hone is the root's; what only its tests and its lint need is the workspace's in `test/`, and stays away until
// it is wanted. No install script is run (.npmrc): nothing is compiled and nothing downloaded but packages of npm.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, root, runNpm, say, secondsSince, showProgress } from './project.mjs';

/**
 * Installs from the lock file unless that is done already. Ends the process if it cannot.
 * @param packages `run`: what builds and runs Hone; `test`: that, and what the tests need
 */
export async function install(packages) {
  const wanted = wantedPackages(packages);
  // npm writes this file last.
  const isComplete = existsSync(join(root, 'node_modules/.package-lock.json'));
  if (isComplete && missingOf(wanted).length === 0) return;
  const what = packages === 'test' ? 'the packages of Hone and of its tests' : 'the packages';
  say(`installing ${what} (once; less than half a minute) ...`);
  const started = Date.now();
  const done = showProgress(() => `${wanted.length - missingOf(wanted).length} of ${wanted.length} packages are there`);
  const scope = packages === 'test' ? [] : ['--workspaces=false'];
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const code = await runNpm(['ci', '--include=dev', ...scope, ...quiet]);
  done();
  if (code !== 0)
    fail('the packages could not be installed: npm says why above. Run the command again once that is solved.');
  const missing = missingOf(wanted);
  if (missing.length > 0)
    fail(`npm has not installed ${missing.join(', ')}; delete node_modules and run the command again.`);
  say(`packages installed in ${secondsSince(started)} s`);
}

/** Paths and versions of the packages that package-lock.json asks for, but for those of other platforms. */
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

/** Where Node would find a package that is required in a folder: in the nearest node_modules above. */
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
    // Not there, or npm is writing it.
    return undefined;
  }
}
