/** Loads a package: reads its files, checks that they fit together, and computes its digest. */

import { basename, join, resolve } from 'node:path';
import type { Graph } from '../onnx/index.js';
import { configSchema, decoderConfig, generationConfigSchema, namedEndTokens } from './config.js';
import { modelFile, readDecoderFile } from './decoder-file.js';
import { endTokens } from './end-tokens.js';
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

/**
 * Does what {@link loadPackage} does and also returns the decoder, so that the caller need not read it again.
 * @param model the content of the model's file, if it was read before. It is not changed
 */
export async function openPackage(directory: string, model?: Graph): Promise<OpenedPackage> {
  const root = resolve(directory);
  const generationFile = (await fileExists(root, 'generation_config.json')) ? 'generation_config.json' : null;
  const stated = await readJson(root, 'config.json', configSchema, llamaRemedy);
  const generation = generationFile === null ? {} : await readJson(root, generationFile, generationConfigSchema);
  const tokenizer = await loadTokenizer(root);
  const ends = endTokens(root, namedEndTokens(stated, generation), tokenizer);
  const config = decoderConfig(stated, generation, ends);
  checkVocabulary(root, config, tokenizer);
  const decoder = await readDecoderFile(root, config, model);
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

function checkVocabulary(root: string, config: DecoderConfig, tokenizer: PackageTokenizer): void {
  const { bosTokenId, eosTokenIds, vocabularySize } = config;
  if (tokenizer.ownVocabularySize > vocabularySize) {
    throw invalidPackage(
      root,
      'tokenizer.json',
      `has ${tokenizer.ownVocabularySize} tokens, but config.json has vocab_size ${vocabularySize}; ` +
        'take both files from the same model',
    );
  }
  const beyond = `which is beyond vocab_size ${vocabularySize}; take all files from the same model`;
  if (bosTokenId !== null && bosTokenId >= vocabularySize) {
    const field = 'bos_token_id (here or in generation_config.json)';
    throw invalidPackage(root, 'config.json', `${field} is ${bosTokenId}, ${beyond}`);
  }
  // A tokenizer may list added tokens that the decoder does not know, but neither of these.
  const end = eosTokenIds.find((id) => id >= vocabularySize);
  if (end !== undefined) throw invalidPackage(root, 'config.json', `an answer ends with token ${end}, ${beyond}`);
  const first = tokenizer.encodeText('').find((id) => id >= vocabularySize);
  if (first !== undefined) throw invalidPackage(root, 'tokenizer.json', `a text begins with token ${first}, ${beyond}`);
}
