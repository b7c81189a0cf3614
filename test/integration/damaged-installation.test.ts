/** If a package or its native library cannot be loaded, server and command report it in one line, with what to do. */

import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folders.js';
import { runPiped } from '../support/processes.js';
import { projectFolder, tinyPackage } from '../support/server.js';

/** A copy of Hone with links to its packages, except onnxruntime-node, which is a copy without its native library. */
let folder: string;
let native: string;

beforeAll(() => {
  folder = temporaryFolder();
  for (const path of ['dist/cli', 'dist/client', 'dist/proto', 'dist/server', 'dist/src', 'cli', 'package.json']) {
    cpSync(join(projectFolder, path), join(folder, path), { recursive: true });
  }
  const packages = join(projectFolder, 'node_modules');
  mkdirSync(join(folder, 'node_modules/onnxruntime-node'), { recursive: true });
  for (const name of readdirSync(packages)) {
    if (name !== 'onnxruntime-node') symlinkSync(join(packages, name), join(folder, 'node_modules', name));
  }
  const [from, to] = [packages, join(folder, 'node_modules')].map((path) => join(path, 'onnxruntime-node'));
  for (const path of ['dist', 'package.json']) cpSync(`${from}/${path}`, `${to}/${path}`, { recursive: true });
  native = `${to}/bin/napi-v6/${process.platform}/${process.arch}`;
});

async function hone(...args: string[]) {
  return runPiped(join(folder, 'cli/hone.cjs'), args);
}

const serve = () => hone('serve', '--data', temporaryFolder(), '--package', tinyPackage, '--port', '0', '--no-metrics');

it.each([
  ['is missing', () => rmSync(native, { recursive: true, force: true })],
  [
    'is not a library',
    () => {
      mkdirSync(native, { recursive: true });
      writeFileSync(join(native, 'onnxruntime_binding.node'), 'not a library');
    },
  ],
  [
    'lacks a library that it needs',
    () => {
      const file = 'onnxruntime_binding.node';
      const binding = join(projectFolder, 'node_modules/onnxruntime-node/bin/napi-v6', process.platform, process.arch);
      mkdirSync(native, { recursive: true });
      copyFileSync(join(binding, file), join(native, file));
    },
  ],
])(
  'hone serve reports a native library that %s, with the remedy, and does not start the server again',
  async (_, damage) => {
    damage();
    const { code, out, err } = await serve();
    expect({ code, out }).toEqual({ code: 78, out: '' });
    expect(err).toMatch(/^hone: a part of Hone cannot be loaded on this machine \(.*\): .*Delete node_modules.*\n$/);
    expect(err).toContain('INSTALLATION_DAMAGED');
  },
);

it('a command reports a package that it needs and that is missing', async () => {
  rmSync(join(folder, 'node_modules/@grpc'), { force: true });
  const { code, out, err } = await hone('status');
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toMatch(/^hone: a part of Hone cannot be loaded .*@grpc\/grpc-js.*Delete node_modules/);
});
