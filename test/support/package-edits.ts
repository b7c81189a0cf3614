/** Edits of a package's files, for tests that damage one. */

import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeModel } from '../../src/onnx/codec.js';
import { encodeModel, type Graph, type Tensor } from '../../src/onnx/index.js';
import { ModelMessage } from '../../src/onnx/schema.js';

export type Json = Record<string, unknown>;

export const model = 'onnx/model.onnx';
export const data = 'onnx/model.onnx_data';

export const remove = (file: string) => (directory: string) => rm(join(directory, file));
export const write = (file: string, content: string) => (directory: string) =>
  writeFile(join(directory, file), content);

export const edit = (file: string, change: (value: Json) => void) => async (directory: string) => {
  const value = JSON.parse(await readFile(join(directory, file), 'utf8'));
  change(value);
  await writeFile(join(directory, file), JSON.stringify(value));
};

export const set = (file: string, field: string, value: unknown) =>
  edit(file, (json) => {
    json[field] = value;
  });

export const editGraph = (change: (graph: Graph) => void) => async (directory: string) => {
  const graph = decodeModel(await readFile(join(directory, model)));
  change(graph);
  await writeFile(join(directory, model), encodeModel(graph));
};

interface RawNode {
  attribute: { name: string; type: number }[];
}
interface RawModel {
  graph: { node: RawNode[]; initializer: { name: string; dataType: number; rawData: Uint8Array }[] };
  functions: Uint8Array[];
}

/** Edits the decoded message, for content that `encodeModel` does not write. */
export const editRaw = (change: (value: RawModel) => void) => async (directory: string) => {
  const message = ModelMessage.decode(await readFile(join(directory, model)));
  change(message as unknown as RawModel);
  await writeFile(join(directory, model), ModelMessage.encode(message).finish());
};

/** Moves the embedding into a data file, changes where the model looks for it, and cuts bytes off the file's end. */
export const external =
  (change: (place: { location: string; offset: number; length: number }) => void, cut = 0) =>
  async (directory: string) => {
    const name = 'model.embed_tokens.weight';
    let bytes = new Uint8Array();
    await editGraph((graph) => {
      const tensor = graph.initializers.get(name) as Tensor;
      bytes = tensor.data as Uint8Array<ArrayBuffer>;
      const place = { location: 'model.onnx_data', offset: 0, length: bytes.length };
      change(place);
      graph.initializers.set(name, { ...tensor, data: place });
    })(directory);
    await writeFile(join(directory, data), bytes);
    await truncate(join(directory, data), bytes.length - cut);
  };

export const setTensor = (name: string, change: (tensor: Tensor) => Tensor) =>
  editGraph((graph) => graph.initializers.set(name, change(graph.initializers.get(name) as Tensor)));

export const tokens = (change: (vocabulary: Record<string, number>) => void) =>
  edit('tokenizer.json', (json) => change((json.model as { vocab: Record<string, number> }).vocab));
