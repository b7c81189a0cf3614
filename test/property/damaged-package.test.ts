/** Changes random bytes of a package: it must load, or be refused with a code, within a short time. */

import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { HoneError } from '../../src/errors.js';
import { loadPackage } from '../../src/package/index.js';
import { createDecoder } from '../../src/policy/graph/decoder.js';
import { temporaryFolder } from '../support/folders.js';
import { tinyPackage } from '../support/server.js';

let root: string;
let directory: string;

beforeAll(async () => {
  root = temporaryFolder();
  directory = join(root, 'tiny');
  await cp(tinyPackage, directory, { recursive: true });
});

/** The place of a change, as a share of the file's length, and the bytes written there. */
const change = fc.tuple(
  fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  fc.integer({ min: 0, max: 255 }),
);
const damage = fc.record({
  changes: fc.array(change, { minLength: 1, maxLength: 4 }),
  /** The share of the file that remains. */
  left: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, fc.double({ min: 0, max: 1, noNaN: true })),
});

/** Nodes, names and attributes of the model begin here. Most bytes before are weights, for which any value is valid. */
const structure = 0.78;

test.each([
  ['onnx/model.onnx', 0, 60],
  ['onnx/model.onnx', structure, 120],
  ['tokenizer.json', 0, 100],
  ['tokenizer_config.json', 0, 100],
  ['config.json', 0, 100],
])('%s with changed bytes from %d of its length on loads or is refused with a code', async (file, from, numRuns) => {
  const bytes = await readFile(join(tinyPackage, file));
  await fc.assert(
    fc.asyncProperty(damage, async ({ changes, left }) => {
      const damaged = Buffer.from(bytes);
      for (const [at, value] of changes) damaged[Math.floor(bytes.length * (from + at * (1 - from)))] = value;
      await writeFile(join(directory, file), damaged.subarray(0, Math.floor(bytes.length * left)));
      try {
        const { modelPath, config } = await loadPackage(directory);
        const { contextLength } = config;
        const decoder = await createDecoder({ modelPath, contextLength, threads: 1, spin: false });
        await decoder.close();
      } catch (error) {
        expect(error).toBeInstanceOf(HoneError);
        expect(['PACKAGE_INVALID', 'MODEL_INVALID', 'OPERATOR_UNSUPPORTED']).toContain((error as HoneError).code);
        expect((error as HoneError).message.length).toBeLessThan(4000);
      }
    }),
    { numRuns },
  );
  await writeFile(join(directory, file), bytes);
});
