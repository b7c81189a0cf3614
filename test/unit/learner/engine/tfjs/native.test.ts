/**
 * The native packages of TF.js on a Node that has removed functions which they call. A stand-in package shows it on
 * every machine; with `HONE_TFJS_BACKEND=node` and `HONE_TFJS_FOLDER` the test uses the real one.
 */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import util from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { findModule } from '../../../../../src/learner/engine/tfjs/backend.js';
import { restoreRemovedUtil } from '../../../../../src/learner/engine/tfjs/removed-util.js';
import { temporaryFolder } from '../../../../support/folders.js';
import { placeNativeTfjs } from '../../../../support/native-tfjs.js';

const { HONE_TFJS_BACKEND: backend, HONE_TFJS_FOLDER: realFolder } = process.env;
const module = (name: string): string =>
  new URL(`../../../../../src/learner/engine/tfjs/${name}.js`, import.meta.url).href;

/** A script for a child whose `util` lacks what a later Node may lack. It prints the results. */
const script = (folder: string): string => `
import util from 'node:util';
delete util.isNullOrUndefined;
delete util.isArray;
const { openTfjs } = await import(${JSON.stringify(module('backend'))});
const { tf } = await openTfjs({ backend: 'node', folder: ${JSON.stringify(folder)}, threads: 1 });
const product = tf.matMul([[1, 2], [3, 4]], [[5, 6], [7, 8]]);
console.log(JSON.stringify([...product.dataSync(), ...tf.topk([3, 1, 2], 2).values.dataSync()]));
`;

describe('a native package of TF.js', () => {
  let folder: string;
  beforeAll(() => {
    folder = backend === 'node' && realFolder !== undefined ? realFolder : temporaryFolder();
    if (folder !== realFolder) placeNativeTfjs(folder);
  });

  it('computes on a Node without the functions of util that it calls', () => {
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script(folder)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(JSON.parse(output.trim().split('\n').at(-1) as string)).toEqual([19, 22, 43, 50, 3, 2]);
  });

  const installed = ['@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu'].flatMap(
    (name) => findModule(`${name}/package.json`, realFolder) ?? [],
  );
  it.skipIf(installed.length === 0)(
    'calls nothing of util that is missing (skipped if no package is installed)',
    () => {
      restoreRemovedUtil();
      const asked = new Set(installed.flatMap((path) => namesAskedOfUtil(join(dirname(path), 'dist'))));
      expect([...asked]).toContain('isNullOrUndefined');
      expect([...asked].filter((name) => !(name in util))).toEqual([]);
    },
  );
});

/** The members of `util` that a package's compiled code names. */
function namesAskedOfUtil(directory: string): string[] {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return files
    .filter((name) => name.endsWith('.js') && !name.endsWith('_test.js'))
    .flatMap((name) => {
      const source = readFileSync(join(directory, name), 'utf8');
      const imports = source.matchAll(/(\w+) = require\(["'](?:node:)?util["']\)/g);
      return [...imports].flatMap(([, local]) =>
        [...source.matchAll(new RegExp(`\\b${local}\\.(\\w+)`, 'g'))].map(([, member]) => member as string),
      );
    });
}
