/** `hone tfjs-setup` with a part missing. docs/tfjs.md states what it builds with a real TensorFlow. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { buildTfjsAddon } from '../../../../../src/learner/engine/tfjs/native-addon.js';
import { temporaryFolder } from '../../../../support/folders.js';
import { placeNativeTfjs } from '../../../../support/native-tfjs.js';

describe.skipIf(process.platform !== 'linux')('building the addon of tfjs-node', () => {
  let folder: string;
  let tensorflow: string;
  const tfjsNode = (): string => join(folder, 'node_modules/@tensorflow/tfjs-node');
  beforeEach(() => {
    folder = temporaryFolder();
    tensorflow = join(folder, 'tensorflow');
  });

  const write = (path: string, content: string): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  };
  const placeLibraries = (): void => {
    for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']) write(join(tensorflow, name), '');
  };
  const placeHeaders = (): void => {
    for (const name of ['c_api.h', 'eager/c_api.h']) write(join(tensorflow, 'include/tensorflow/c', name), '');
  };
  const placeTfjsNode = (): void => {
    const manifest = { name: '@tensorflow/tfjs-node', version: '4.22.0', binary: { napi_versions: [3, 8] } };
    write(join(tfjsNode(), 'package.json'), JSON.stringify(manifest));
    write(join(tfjsNode(), 'index.js'), '');
  };
  /** A compiler that writes a file which is not an addon to its `-o`. */
  const placeCompiler = (): string => {
    const compiler = join(folder, 'compiler');
    const script = '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho "the new one" > "$2"\n';
    writeFileSync(compiler, script, { mode: 0o755 });
    return compiler;
  };

  it('refuses a folder without the libraries, with how to find the right one', async () => {
    await expect(buildTfjsAddon({ tensorflow: folder, folder })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/libtensorflow_cc\.so\.2.*tensorflow\.__path__/),
    });
  });

  it('names the header that is missing', async () => {
    placeLibraries();
    await expect(buildTfjsAddon({ tensorflow, folder })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('include/tensorflow/c/c_api.h is missing'),
    });
  });

  it('states how to install tfjs-node if it is missing', async () => {
    placeLibraries();
    placeHeaders();
    // Both the package's folder and the folder that holds it are accepted.
    await expect(buildTfjsAddon({ tensorflow: folder, folder })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('npm install --ignore-scripts @tensorflow/tfjs-node'),
    });
  });

  it('states what to install if there is no compiler', async () => {
    placeLibraries();
    placeHeaders();
    placeTfjsNode();
    await expect(buildTfjsAddon({ tensorflow, folder, compiler: 'no-such-compiler' })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/no-such-compiler.*apt install g\+\+/),
    });
  });

  it('shows the error of the compiler', async () => {
    placeLibraries();
    placeHeaders();
    placeTfjsNode();
    const compiler = join(folder, 'compiler');
    writeFileSync(compiler, '#!/bin/sh\necho "binding: no such thing" >&2\nexit 1\n', { mode: 0o755 });
    await expect(buildTfjsAddon({ tensorflow, folder, compiler })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('binding: no such thing'),
    });
  });

  it('tries the addon in a child process, and reports the version of TensorFlow', async () => {
    placeLibraries();
    placeHeaders();
    placeNativeTfjs(folder);
    const compiler = placeCompiler();
    await expect(buildTfjsAddon({ tensorflow, folder, compiler })).resolves.toMatchObject({
      package: '@tensorflow/tfjs-node',
      version: '4.22.0',
      tensorflowVersion: 'none',
      gpu: false,
    });
    expect(readFileSync(join(tfjsNode(), 'lib/napi-v8/tfjs_binding.node'), 'utf8')).toBe('the new one\n');
  });

  it('keeps the old addon if the new one does not load', async () => {
    placeLibraries();
    placeHeaders();
    placeTfjsNode();
    const addon = join(tfjsNode(), 'lib/napi-v8/tfjs_binding.node');
    write(addon, 'the old one');
    const compiler = placeCompiler();
    await expect(buildTfjsAddon({ tensorflow, folder, compiler })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('does not load'),
    });
    expect(readFileSync(addon, 'utf8')).toBe('the old one');
    expect(existsSync(`${addon}.new`) || existsSync(`${addon}.before`)).toBe(false);
  });
});
