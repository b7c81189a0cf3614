/** Exports in a kit of models whose attention is spelled out: each answers as its reference, in both variants. */

import { describe, expect, it } from 'vitest';
import { findTrainableLinears } from '../../../src/package/index.js';
import { isBlockModule } from '../../../src/package/module-names.js';
import { expectReference, exportsOf, readExport } from '../../support/kit-exports.js';

const exports = exportsOf((form) => ['optimum', 'dynamo', 'tjs-q4'].includes(form));

describe.skipIf(exports.length === 0)('the exports with spelled attention in the kit in HONE_KIT', () => {
  it.each(exports)('%s', async (name) => {
    const { graph, config } = await readExport(name);
    await expectReference(name, graph, config);
    const modules = findTrainableLinears(graph).map(({ module }) => module);
    expect(modules.filter((module) => !isBlockModule(module) || !/^(model|transformer)\./.test(module))).toEqual([]);
  });
});
