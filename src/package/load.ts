/** Opens a package: reads it, checks that its parts fit together, and identifies it by its digest. */

import { basename, join, posix, resolve } from 'node:path';
import { HoneError } from '../errors.js';
import { type Graph, isExternal, readModel } from '../onnx/index.js';
import { configSchema, decoderConfig, generationConfigSchema } from './config.js';
import { digestFiles, fileExists, invalidPackage, readJson } from './files.js';
import { loadTokenizer, templateFile } from './tokenizer.js';
import type { DecoderConfig, Package, PackageTokenizer } from './types.js';

const modelFile = 'onnx/model.onnx';

/**
 * Loads the package in a folder of Hugging Face / transformers.js layout. `generation_config.json` and
 * `chat_template.jinja` may be absent.
 * @throws HoneError `PACKAGE_INVALID` naming the file and what to do
 */
export async function loadPackage(directory: string): Promise<Package> {
  const root = resolve(directory);
  const generationFile = (await fileExists(root, 'generation_config.json')) ? 'generation_config.json' : null;
  const config = decoderConfig(
    await readJson(root, 'config.json', configSchema),
    generationFile === null ? {} : await readJson(root, generationFile, generationConfigSchema),
  );
  const tokenizer = await loadTokenizer(root);
  checkVocabulary(root, config, tokenizer);
  const graph = await readDecoder(root);
  checkInterface(root, graph, config);
  const files = ['config.json', 'tokenizer.json', 'tokenizer_config.json', modelFile, ...externalFiles(graph)];
  if (generationFile !== null) files.push(generationFile);
  if (await fileExists(root, templateFile)) files.push(templateFile);
  return {
    directory: root,
    digest: await digestFiles(root, files),
    name: basename(root),
    config,
    tokenizer,
    modelPath: join(root, modelFile),
  };
}

function checkVocabulary(root: string, config: DecoderConfig, tokenizer: PackageTokenizer): void {
  if (tokenizer.vocabularySize > config.vocabularySize) {
    throw invalidPackage(
      root,
      'tokenizer.json',
      `has ${tokenizer.vocabularySize} tokens, but config.json says vocab_size ${config.vocabularySize}; ` +
        'take both files from the same model',
    );
  }
  const strange = [...config.eosTokenIds, ...(config.bosTokenId === null ? [] : [config.bosTokenId])].find(
    (id) => id >= config.vocabularySize,
  );
  if (strange !== undefined) {
    throw invalidPackage(root, 'config.json', `token ${strange} is beyond vocab_size ${config.vocabularySize}`);
  }
}

async function readDecoder(root: string): Promise<Graph> {
  try {
    return await readModel(join(root, modelFile));
  } catch (cause) {
    throw invalidPackage(
      root,
      modelFile,
      `${HoneError.from(cause).message}; export the model with the interface of an Optimum text-generation export`,
      cause,
    );
  }
}

/** The interface of an Optimum text-generation export with past, as many layers as the configuration says. */
function checkInterface(root: string, graph: Graph, config: DecoderConfig): void {
  const inputs = ['input_ids', 'attention_mask', 'position_ids'];
  const outputs = ['logits'];
  for (let layer = 0; layer < config.layers; layer++) {
    inputs.push(`past_key_values.${layer}.key`, `past_key_values.${layer}.value`);
    outputs.push(`present.${layer}.key`, `present.${layer}.value`);
  }
  const missing = [
    ...inputs.filter((name) => !graph.inputs.has(name)),
    ...outputs.filter((name) => !graph.outputs.has(name)),
  ];
  if (missing.length === 0) return;
  throw invalidPackage(
    root,
    modelFile,
    `lacks ${missing.slice(0, 4).join(', ')}${missing.length > 4 ? '...' : ''}; ` +
      'export the model as text-generation-with-past (and with config.json of the same model)',
  );
}

function externalFiles(graph: Graph): string[] {
  const files = new Set<string>();
  for (const { data } of graph.initializers.values()) {
    if (isExternal(data)) files.add(posix.join('onnx', data.location));
  }
  return [...files];
}
