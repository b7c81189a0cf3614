/**
 * Finds the forms in which a repository holds its model: ONNX files by the names that exporters give them, folders of
 * ONNX Runtime GenAI, and the checkpoint. Other forms (`.bin`, `.pt`, `.gguf` ...) are none.
 */

import type { RepositoryFile } from './listing.js';

export type VariantKind = 'onnx' | 'genai' | 'checkpoint';

/** One form of a model, with the files that it needs. */
export interface Variant<File extends RepositoryFile = RepositoryFile> {
  /** How people ask for it: `fp32`, `q4`, `checkpoint`, a folder. */
  readonly name: string;
  /** Other names for it. */
  readonly aliases: readonly string[];
  readonly kind: VariantKind;
  /** The ONNX file; of a checkpoint, the one file or the index of its shards. */
  readonly modelFile: string;
  /** The files of weights, `modelFile` among them. */
  readonly weights: readonly File[];
  /** Everything to fetch: the weights, then configuration, tokenizer and licence. */
  readonly files: readonly File[];
  /** Bytes of all files. */
  readonly bytes: number;
}

/** The names of variants by the endings of ONNX files, as transformers.js and onnx-community use them. */
const endings: Readonly<Record<string, readonly [name: string, ...aliases: string[]]>> = {
  '': ['fp32', 'model', 'float32'],
  _fp16: ['fp16', 'float16'],
  _int8: ['int8'],
  _uint8: ['uint8'],
  _quantized: ['quantized', 'q8'],
  _q4: ['q4', 'int4'],
  _q4f16: ['q4f16'],
  _bnb4: ['bnb4'],
};

const onnxFile = /^(?:(.+)\/)?model(_[a-z0-9]+)?\.onnx$/;
const configuration =
  /^(?:.+\/)?(?:config|generation_config|genai_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|hone_[a-z_]+)\.json$|^(?:.+\/)?(?:merges\.txt|vocab\.txt|tokenizer\.model|spiece\.model|chat_template\.jinja)$|^(?:.+\/)?additional_chat_templates\/[^/]+\.jinja$/;
const licence = /^(?:LICEN[CS]E|NOTICE|USE_POLICY|COPYING)[^/]*$/i;
const shard = /^model-\d+-of-(\d+)\.safetensors$/;

/** Finds the variants of a repository, the float32 ones of ONNX first. */
export function findVariants<File extends RepositoryFile>(files: readonly File[]): Variant<File>[] {
  const checkpoint = findCheckpoint(files);
  return [...findOnnx(files), ...findGenai(files), ...(checkpoint === undefined ? [] : [checkpoint])];
}

/** The variants that answer to a name, in letters of either case: those of this name, else those with this alias. */
export function answering<V extends Variant>(variants: readonly V[], asked: string): V[] {
  const wanted = asked.toLowerCase();
  const named = variants.filter(({ name }) => name.toLowerCase() === wanted);
  if (named.length > 0) return named;
  return variants.filter(({ aliases }) => aliases.some((one) => one.toLowerCase() === wanted));
}

function findOnnx<File extends RepositoryFile>(files: readonly File[]): Variant<File>[] {
  const ordered = Object.keys(endings);
  const found = files.flatMap((file) => {
    const match = onnxFile.exec(file.path);
    const [, folder = '', ending = ''] = match ?? [];
    if (match === null || has(files, inFolder(folder, 'genai_config.json'))) return [];
    const names = endings[ending] ?? [ending.slice(1)];
    const variant = onnxVariant(files, file, folder, names);
    const rank = ordered.indexOf(ending);
    return variant === undefined ? [] : [{ variant, rank: rank < 0 ? ordered.length : rank }];
  });
  found.sort((a, b) => a.rank - b.rank || compare(a.variant.name, b.variant.name));
  return found.map(({ variant }) => variant);
}

/** Finds the folders of ONNX Runtime GenAI: each has one model, whose file may have any name. */
function findGenai<File extends RepositoryFile>(files: readonly File[]): Variant<File>[] {
  const found = files.flatMap(({ path }) => {
    if (!/^(?:.+\/)?genai_config\.json$/.test(path)) return [];
    const folder = folderOf(path);
    const models = files.filter((file) => folderOf(file.path) === folder && file.path.endsWith('.onnx'));
    const named = models.find((file) => file.path === inFolder(folder, 'model.onnx'));
    // Several files without a plain one are the parts of a model with pictures or sound.
    const model = named ?? (models.length === 1 ? models[0] : undefined);
    return model === undefined ? [] : [genaiVariant(files, model, folder)];
  });
  return found.sort((a, b) => compare(a.name, b.name));
}

function onnxVariant<File extends RepositoryFile>(
  files: readonly File[],
  model: File,
  folder: string,
  [name = '', ...aliases]: readonly string[],
): Variant<File> | undefined {
  // Exports stand in `onnx/` or in the root. A file elsewhere is a part of something else unless its folder has a
  // configuration; its folder then tells it from others.
  const isPlain = folder === '' || folder === 'onnx';
  if (!isPlain && !has(files, inFolder(folder, 'config.json'))) return undefined;
  const stem = model.path.replace(/\.onnx$/, '');
  const weights = files.filter(({ path }) => path === model.path || isDataOf(path, stem));
  const both = folder === '' && has(files, `onnx/${model.path}`);
  const own = isPlain && !both ? name : folder === '' ? `root/${name}` : `${folder}/${name}`;
  return variantOf(files, {
    name: own,
    aliases: isPlain && !both ? aliases : [],
    kind: 'onnx',
    folder,
    weights,
    model,
  });
}

/** Whether a file holds external data of the ONNX file with this stem: `.onnx_data`, `.onnx_data_1`, `.onnx.data`, `.data`. */
function isDataOf(path: string, stem: string): boolean {
  return path.startsWith(stem) && /^(?:\.onnx[_.]data(?:_\d+)?|\.data)$/.test(path.slice(stem.length));
}

function genaiVariant<File extends RepositoryFile>(files: readonly File[], model: File, folder: string): Variant<File> {
  const weights = files.filter(
    ({ path }) => path === model.path || (folderOf(path) === folder && /[._]data(?:_\d+)?$/.test(path)),
  );
  const last = folder.slice(folder.lastIndexOf('/') + 1);
  const name = folder === '' ? 'genai' : folder;
  return variantOf(files, { name, aliases: last === name ? [] : [last], kind: 'genai', folder, weights, model });
}

function findCheckpoint<File extends RepositoryFile>(files: readonly File[]): Variant<File> | undefined {
  const about = { name: 'checkpoint', aliases: ['safetensors'], kind: 'checkpoint', folder: '' } as const;
  const single = files.find(({ path }) => path === 'model.safetensors');
  if (single !== undefined) return variantOf(files, { ...about, weights: [single], model: single });
  const index = files.find(({ path }) => path === 'model.safetensors.index.json');
  const shards = files.filter(({ path }) => shard.test(path));
  if (index === undefined || shards.length === 0) return undefined;
  // A snapshot that was cut off lacks shards.
  const expected = Number(shard.exec(shards[0]?.path ?? '')?.[1]);
  if (shards.length < expected) return undefined;
  return variantOf(files, { ...about, weights: [index, ...shards], model: index });
}

interface Parts<File> {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: VariantKind;
  readonly folder: string;
  readonly model: File;
  readonly weights: readonly File[];
}

function variantOf<File extends RepositoryFile>(
  all: readonly File[],
  { name, aliases, kind, folder, model, weights }: Parts<File>,
): Variant<File> {
  const beside = all.filter(({ path }) => {
    const place = folderOf(path.replace(/additional_chat_templates\/[^/]+$/, ''));
    const fits = place === '' || place === folder;
    return (fits && configuration.test(path)) || licence.test(path);
  });
  const files = [...weights, ...beside];
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return { name, aliases, kind, modelFile: model.path, weights, files, bytes };
}

const folderOf = (path: string): string => path.replace(/\/?[^/]*$/, '');
const inFolder = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);
const has = (files: readonly RepositoryFile[], path: string): boolean => files.some((file) => file.path === path);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
