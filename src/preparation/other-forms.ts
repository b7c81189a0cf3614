/**
 * Prepares what is no package yet: links to the files where they lie elsewhere, and a written package where Hone computes
 * in another form than the files have.
 */

import { mkdir, rename, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { convertCheckpoint, convertModelFile, needsConversion } from '../conversion/index.js';
import { HoneError } from '../errors.js';
import type { RepositoryFile } from '../hub/index.js';
import { type Graph, readModel } from '../onnx/index.js';
import { defaultBlockSizes, quantizePackage } from '../package/index.js';
import { type ChosenFile, chooseFile } from './choose-file.js';
import { listFolder } from './folder-files.js';
import { companionsOf, copyCompanions, linkPackage } from './link-package.js';
import { folderFor, makeOnce, type PreparedFolder, writeWhole } from './prepared-folders.js';
import { type PreparedPackage, type PrepareOptions, usualFile } from './prepared-package.js';

/** A folder with the file that is taken from it. */
interface Source {
  readonly root: string;
  readonly files: readonly RepositoryFile[];
  readonly modelFile: string;
}

/** @throws HoneError as `preparePackage` */
export async function prepareOtherForm(root: string, options: PrepareOptions): Promise<PreparedPackage> {
  await checkFolder(root);
  const files = await listFolder(root);
  const { modelFile, bits, memoryBytes } = options;
  const chosen = chooseFile(files, { directory: root, modelFile, bits, memoryBytes });
  sayChoice(chosen, options);
  const source = { root, files, modelFile: chosen.modelFile };
  if (chosen.kind === 'checkpoint') return fromCheckpoint(source, options);
  const readable = await inReadableNumbers(await linked(source, options), source, options);
  return bits === undefined || bits === 32 ? readable : quantized(readable, source, bits, options);
}

async function checkFolder(root: string): Promise<void> {
  const found = await stat(root).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new HoneError('PACKAGE_INVALID', `${root}: there is no such folder; give the folder that holds config.json`);
}

function sayChoice({ modelFile, reason, others }: ChosenFile, { onNote }: PrepareOptions): void {
  const rest = others.length === 0 ? '' : `. --model-file takes another: ${others.join('; ')}`;
  onNote?.(`${modelFile} is served: ${reason}${rest}`);
}

/** Makes the package in `place` unless it is there. `what` is said before the work. */
async function make(
  place: PreparedFolder,
  { root, modelFile }: Source,
  { signal, onNote, bits }: PrepareOptions,
  what: string | null,
  work: (target: string) => Promise<void>,
): Promise<void> {
  const making = {
    signal,
    onWait: () => onNote?.('another process prepares the same package; waiting for it'),
    record: { source: root, modelFile, bits: bits ?? null },
  };
  await makeOnce(place, making, async (target) => {
    if (what !== null) onNote?.(`${what}, into ${target}; this is done once`);
    await work(target);
  });
}

/** Puts the files where a package has them. */
async function linked(source: Source, options: PrepareOptions): Promise<PreparedPackage & { readonly model: Graph }> {
  const { root, files, modelFile } = source;
  let directory = root;
  if (modelFile !== usualFile) {
    const folder = posix.dirname(modelFile) === '.' ? '' : posix.dirname(modelFile);
    const beside = new Set(companionsOf(files, folder).values());
    const needed = files.filter(
      ({ path }) => beside.has(path) || path === modelFile || posix.dirname(path) === posix.dirname(modelFile),
    );
    const place = await folderFor(options.cacheDirectory, root, needed, { way: 'linked', modelFile });
    await make(place, source, options, null, (target) =>
      writeWhole(target, (draft) => linkPackage(root, modelFile, files, draft)),
    );
    directory = place.directory;
  }
  const judge = join(directory, usualFile);
  return { directory, modelFile, way: directory === root ? 'as_is' : 'linked', judge, model: await readModel(judge) };
}

/** Writes the numbers of a package in the forms that Hone computes with, if the file has others. */
async function inReadableNumbers(
  prepared: PreparedPackage & { readonly model: Graph },
  source: Source,
  options: PrepareOptions,
): Promise<PreparedPackage> {
  const found = needsConversion(prepared.model);
  if (found === null) return prepared;
  const { directory: from, modelFile } = prepared;
  const place = await folderFor(options.cacheDirectory, from, await listFolder(from), { way: 'numbers' }, source.root);
  await make(place, source, options, `the model has ${found}, and is written with those of Hone`, async (target) => {
    const draft = `${target}.partial`;
    await mkdir(join(draft, 'onnx'), { recursive: true });
    await copyCompanions(from, draft);
    const { signal, onProgress } = options;
    await convertModelFile(join(from, usualFile), join(draft, 'onnx'), { draft, signal, onProgress });
    await rename(draft, target);
  });
  return { directory: place.directory, modelFile, way: 'numbers', judge: prepared.judge };
}

async function fromCheckpoint(source: Source, options: PrepareOptions): Promise<PreparedPackage> {
  const { root, files, modelFile } = source;
  const { bits = 32, signal, onProgress } = options;
  const beside = new Set(companionsOf(files, '').values());
  const needed = files.filter(
    ({ path }) => beside.has(path) || /^model[^/]*\.safetensors(?:\.index\.json)?$/.test(path),
  );
  const place = await folderFor(options.cacheDirectory, root, needed, { way: 'checkpoint', bits });
  await make(place, source, options, `the checkpoint is written with weights of ${bits} bits`, async (target) => {
    await convertCheckpoint({
      directory: root,
      target,
      bits,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  });
  return { directory: place.directory, modelFile, way: 'checkpoint', judge: join(place.directory, usualFile) };
}

async function quantized(
  { directory: from, modelFile }: PreparedPackage,
  source: Source,
  bits: 8 | 4,
  options: PrepareOptions,
): Promise<PreparedPackage> {
  const { cacheDirectory, signal, onProgress } = options;
  const place = await folderFor(cacheDirectory, from, await listFolder(from), { way: 'quantized', bits }, source.root);
  await make(place, source, options, `the model is quantised to ${bits} bits`, async (target) => {
    await quantizePackage(from, target, {
      bits,
      blockSize: defaultBlockSizes[bits],
      head: true,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  });
  return { directory: place.directory, modelFile, way: 'quantized', judge: join(place.directory, usualFile) };
}
