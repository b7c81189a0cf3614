/** The real measurement, with the tests' package. Whether its figures are right can only be seen on an idle machine. */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { readModel } from '../../../src/onnx/index.js';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { toDecodeGraph } from '../../../src/policy/graph/decode-graph.js';
import { type ChooseThreadsOptions, chooseThreads } from '../../../src/policy/index.js';
import { readChoice } from '../../../src/policy/start-up/choice-file.js';
import { firstLayers } from '../../../src/policy/start-up/first-layers.js';
import type { ProcessorTimes } from '../../../src/policy/start-up/machine-load.js';
import { startNeighbour } from '../../../src/policy/start-up/neighbour.js';
import { createStepTimer } from '../../../src/policy/start-up/step-timer.js';
import { temporaryFolder } from '../../support/folders.js';
import { projectFolder, tinyPackage } from '../../support/server.js';

let folder: string;
let path: string;
let pkg: Package;
beforeEach(async () => {
  folder = temporaryFolder();
  path = join(folder, 'threads.json');
  pkg = await loadPackage(tinyPackage);
});

const choosing = (wishes: Partial<ChooseThreadsOptions> = {}) =>
  chooseThreads({
    pkg,
    cores: 2,
    neighbourThreads: 0,
    threads: undefined,
    spin: undefined,
    path,
    // Longer than the measurement takes on a busy machine.
    maxMs: 120_000,
    processorTimes: besideOthers(0),
    ...wishes,
  });

/** Processor times of two cores, of which other programs used this share between two readings. */
function besideOthers(share: number): () => ProcessorTimes {
  let readings = 0;
  return () => {
    readings += 1;
    const ownMs = 700 * readings;
    return { atMs: 1000 * readings, everybodyMs: ownMs + 2000 * share * readings, ownMs, cores: 2 };
  };
}

describe('the measurement at start', () => {
  it('times every setting of threads beside a busy neighbour, and chooses one of them', async () => {
    const choice = await choosing({ neighbourThreads: 1 });
    expect(choice.source).toBe('measured');
    expect(choice.measured.map(({ threads, spin }) => [threads, spin])).toEqual([
      [1, false],
      [2, false],
      [2, true],
    ]);
    for (const { oneRowMs, eightRowsMs, neighbourShare } of choice.measured) {
      expect(neighbourShare).toBeGreaterThanOrEqual(0);
      expect(oneRowMs).toBeGreaterThan(0);
      expect(eightRowsMs).toBeGreaterThan(0);
    }
    // Other settings are compared with the first one.
    expect(choice.measured[0]?.neighbourShare).toBe(1);
    expect(choice.measured).toContainEqual(expect.objectContaining({ threads: choice.threads, spin: choice.spin }));
    expect(choice.tookMs).toBeGreaterThan(0);
  });

  it('waits until nothing else computes, but only if it really measures', async () => {
    let asked = 0;
    const calm = async () => {
      asked += 1;
      expect(existsSync(path)).toBe(false);
    };
    expect((await choosing({ threads: 1, calm })).source).toBe('given');
    expect(asked).toBe(0);
    expect((await choosing({ calm })).source).toBe('measured');
    expect(asked).toBe(1);
    expect((await choosing({ calm })).source).toBe('kept');
    expect(asked).toBe(1);
  });

  it('does not run if the flags leave no choice', async () => {
    expect(await choosing({ threads: 1 })).toEqual({
      threads: 1,
      spin: false,
      source: 'given',
      measured: [],
      tookMs: 0,
      othersShare: null,
      provisional: false,
      damage: null,
    });
    expect(await choosing({ threads: 2, spin: true })).toMatchObject({ threads: 2, spin: true, source: 'given' });
    expect(existsSync(path)).toBe(false);
  });

  it('is kept for the next start in a file that only the user can read', async () => {
    const first = await choosing({ threads: 2 });
    expect(await choosing({ threads: 2 })).toEqual({ ...first, source: 'kept', tookMs: 0 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('is reused only for the same package, processor, runtime, neighbour and wishes', async () => {
    await choosing({ threads: 2 });
    const kept = JSON.parse(readFileSync(path, 'utf8')) as { key: Record<string, unknown>; measured: object[] };
    expect(Object.keys(kept.key).sort()).toEqual(
      ['cores', 'neighbourThreads', 'onnxruntime', 'packageDigest', 'processor', 'spin', 'threads'].sort(),
    );
    // No measurement gives these figures, so that they can be recognised.
    const measured = [{ threads: 2, spin: true, oneRowMs: 1e-6, eightRowsMs: 1e-6, neighbourShare: 1 }];
    const marked = { ...kept, measured };
    writeFileSync(path, JSON.stringify(marked));
    expect(await choosing({ threads: 2 })).toMatchObject({ source: 'kept', spin: true });
    expect(readChoice(path, kept.key)).toEqual({ is: 'kept', measured, othersShare: 0, busyTries: 0 });
    for (const name of Object.keys(kept.key)) {
      expect(readChoice(path, { ...kept.key, [name]: 'another' }), name).toEqual({ is: 'none' });
    }
    writeFileSync(path, JSON.stringify({ ...marked, key: { ...kept.key, packageDigest: 'another' } }));
    expect(await choosing({ threads: 2 })).toMatchObject({ source: 'measured', damage: null });
  });

  it('is repeated at the next start if other programs were busy, and the one beside the least busy programs counts', async () => {
    const busy = await choosing({ threads: 2, processorTimes: besideOthers(0.5) });
    expect(busy).toMatchObject({ source: 'measured', provisional: true, othersShare: expect.closeTo(0.5) });
    const busier = await choosing({ threads: 2, processorTimes: besideOthers(0.7) });
    expect(busier).toMatchObject({ source: 'measured', provisional: true, othersShare: expect.closeTo(0.5) });
    expect(busier.measured).toEqual(busy.measured);
    const calm = await choosing({ threads: 2, processorTimes: besideOthers(0.02) });
    expect(calm).toMatchObject({ source: 'measured', provisional: false, othersShare: expect.closeTo(0.02) });
    expect(await choosing({ threads: 2, processorTimes: besideOthers(0.9) })).toEqual({
      ...calm,
      source: 'kept',
      tookMs: 0,
    });
  });

  it('is repeated at no more than four further starts if the machine is always busy', async () => {
    const sources: string[] = [];
    for (let start = 0; start < 7; start++) {
      sources.push((await choosing({ threads: 2, processorTimes: besideOthers(0.6) })).source);
    }
    expect(sources).toEqual([...Array<string>(5).fill('measured'), 'kept', 'kept']);
    expect(await choosing({ threads: 2 })).toMatchObject({ provisional: false, othersShare: expect.closeTo(0.6) });
  });

  it('keeps an earlier measurement of a busy machine if the repetition fails', async () => {
    const busy = await choosing({ threads: 2, processorTimes: besideOthers(0.5) });
    const repeated = await choosing({ threads: 2, maxMs: 1 });
    expect(repeated).toMatchObject({ source: 'kept', measured: busy.measured, provisional: true });
  });

  it('is trusted where nobody knows what other programs do', async () => {
    expect(await choosing({ threads: 2, processorTimes: () => null })).toMatchObject({
      othersShare: null,
      provisional: false,
    });
    expect((await choosing({ threads: 2 })).source).toBe('kept');
  });

  it.each([
    ['that is cut off', '{"format":2,"key":{', /JSON/],
    ['without figures', '{"format":2}', /key: .*measured: /],
    ['with figures that nothing takes', null, /measured\.0\.oneRowMs/],
    ['of a later release', '{"format":3}', /format/],
  ])('is repeated with a warning if its file is one %s', async (_, content, reason) => {
    const first = await choosing({ threads: 2 });
    const damaged = readFileSync(path, 'utf8').replace(/"oneRowMs":[^,]+/, '"oneRowMs":-1');
    writeFileSync(path, content ?? damaged);
    const again = await choosing({ threads: 2 });
    expect(again).toMatchObject({ source: 'measured', damage: expect.stringMatching(reason) });
    expect(again.measured).toHaveLength(first.measured.length);
    expect(await choosing({ threads: 2 })).toMatchObject({ source: 'kept', damage: null });
  });

  it('is repeated without a warning if its file does not say yet how busy the machine was', async () => {
    await choosing({ threads: 2 });
    writeFileSync(path, readFileSync(path, 'utf8').replace('"format":2', '"format":1'));
    expect(await choosing({ threads: 2 })).toMatchObject({ source: 'measured', damage: null });
  });

  it('chooses one thread if it takes too long or the model cannot be read', async () => {
    expect(await choosing({ maxMs: 1 })).toMatchObject({ threads: 1, spin: false, source: 'default', measured: [] });
    const broken = { ...pkg, modelPath: join(folder, 'none.onnx') };
    expect(await choosing({ pkg: broken })).toMatchObject({ threads: 1, source: 'default' });
    expect(existsSync(path)).toBe(false);
  });
});

describe('the neighbour', () => {
  it('is busy from the start and reports its progress', async () => {
    const neighbour = await startNeighbour(1);
    const sinceItStarted = { from: 0, to: Date.now() + 1 };
    expect(await neighbour.pace([sinceItStarted])).toBeGreaterThan(0);
    await neighbour.end();
  });
});

describe('the first layers', () => {
  it('have at least the given number of bytes, and run as a step', async () => {
    const source = await readModel(join(projectFolder, 'models/tldr/onnx/model.onnx'));
    const decode = toDecodeGraph(source, 512);
    const bytes = (graph: typeof source) =>
      [...graph.initializers.values()].reduce((sum, { data }) => sum + data.length, 0);
    expect(firstLayers(decode, 1e9)).toBe(decode.graph);
    const part = firstLayers(decode, 3e6);
    expect(bytes(part)).toBeGreaterThan(3e6);
    expect(bytes(part)).toBeLessThan(bytes(decode.graph));
    expect(part.outputs.has('logits')).toBe(false);
    const timer = await createStepTimer(part, { threads: 1, spin: false });
    expect(await timer.time(3, 1)).toBeGreaterThan(0);
    await timer.close();
  });
});
