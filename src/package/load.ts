/** Loads a package: reads its files, checks that they fit together, and computes its digest. */

import { basename, join, resolve } from 'node:path';
import type { Graph } from '../onnx/index.js';
import { configSchema, decoderConfig, generationConfigSchema } from './config.js';
import { modelFile, readDecoderFile } from './decoder-file.js';
import { externalFiles } from './external-data.js';
import { digestFiles, fileExists, invalidPackage, readJson } from './files.js';
import { loadTokenizer, templateFile } from './tokenizer.js';
import type { DecoderConfig, Package, PackageTokenizer } from './types.js';

const llamaRemedy = (): string =>
  'Hone expects the fields of Llama-like decoders: correct a field that is wrong, or serve a model whose ' +
  'config.json has all of them';

/**
 * Loads the package in a folder of Hugging Face / transformers.js layout. `generation_config.json` and
 * `chat_template.jinja` may be absent.
 * @throws HoneError `PACKAGE_INVALID` or `OPERATOR_UNSUPPORTED`; both name the file and the remedy
 */
export async function loadPackage(directory: string): Promise<Package> {
  return (await openPackage(directory)).pkg;
}

/** A package and its decoder's graph. The graph holds the weights that lie inside the model file. */
interface OpenedPackage {
  readonly pkg: Package;
  /** In normal form, as `readDecoder` returns it. */
  readonly decoder: Graph;
}

/** Does what {@link loadPackage} does and also returns the decoder, so that the caller need not read it again. */
export async function openPackage(directory: string): Promise<OpenedPackage> {
  const root = resolve(directory);
  const generationFile = (await fileExists(root, 'generation_config.json')) ? 'generation_config.json' : null;
  const stated = decoderConfig(
    await readJson(root, 'config.json', configSchema, llamaRemedy),
    generationFile === null ? {} : await readJson(root, generationFile, generationConfigSchema),
  );
  const tokenizer = await loadTokenizer(root);
  const config = { ...stated, eosTokenIds: endTokens(root, stated, tokenizer) };
  checkVocabulary(root, config, tokenizer);
  const decoder = await readDecoderFile(root, config);
  const files = ['config.json', 'tokenizer.json', 'tokenizer_config.json', modelFile, ...externalFiles(decoder)];
  if (generationFile !== null) files.push(generationFile);
  if (await fileExists(root, templateFile)) files.push(templateFile);
  const pkg: Package = {
    directory: root,
    digest: await digestFiles(root, files),
    name: basename(root),
    config,
    tokenizer,
    modelPath: join(root, modelFile),
  };
  return { pkg, decoder };
}

/** Returns the end tokens. A package must have one, because without it no completion ends by itself. */
function endTokens(root: string, { eosTokenIds }: DecoderConfig, { eosTokenId }: PackageTokenizer): readonly number[] {
  if (eosTokenIds.length > 0) return eosTokenIds;
  if (eosTokenId !== null) return [eosTokenId];
  throw invalidPackage(
    root,
    'config.json',
    'names no end token: eos_token_id is missing here and in generation_config.json, and eos_token in ' +
      'tokenizer_config.json; add eos_token_id, the id of the token with which an answer ends',
  );
}

function checkVocabulary(root: string, config: DecoderConfig, tokenizer: PackageTokenizer): void {
  if (tokenizer.vocabularySize > config.vocabularySize) {
    throw invalidPackage(
      root,
      'tokenizer.json',
      `has ${tokenizer.vocabularySize} tokens, but config.json has vocab_size ${config.vocabularySize}; ` +
        'take both files from the same model',
    );
  }
  const ids = [...config.eosTokenIds, ...(config.bosTokenId === null ? [] : [config.bosTokenId])];
  const strange = ids.find((id) => id >= config.vocabularySize);
  if (strange !== undefined) {
    throw invalidPackage(
      root,
      'config.json',
      `bos_token_id or eos_token_id (here or in generation_config.json) is ${strange}, which is beyond vocab_size ` +
        `${config.vocabularySize}; take all files from the same model`,
    );
  }
}
