/** Reads and writes ONNX files. It refuses by name what no decoder uses: subgraphs, functions, sparse tensors. */

import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoneError } from '../errors.js';
import { type Attribute, Graph, type Node, type ValueInfo } from './graph.js';
import { attributeTypes, ModelMessage } from './schema.js';
import { byteCount, type ElementType, elementTypeOf, elementTypes, isExternal, type Tensor } from './tensor.js';

/** protobufjs's Long or a number. */
type Integer = number | { toNumber(): number };

interface TensorProto {
  dims?: Integer[];
  dataType?: number;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: Integer[];
  doubleData?: number[];
  name?: string;
  rawData?: Uint8Array;
  externalData?: { key: string; value: string }[];
  dataLocation?: number;
}
interface AttributeProto {
  name: string;
  type: number;
  f?: number;
  i?: Integer;
  s?: Uint8Array;
  t?: TensorProto;
  floats?: number[];
  ints?: Integer[];
  strings?: Uint8Array[];
}
interface NodeProto {
  input?: string[];
  output?: string[];
  name?: string;
  opType?: string;
  domain?: string;
  metadataProps?: { key?: string; value?: string }[];
  attribute?: AttributeProto[];
}
interface ValueInfoProto {
  name: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim?: { dimValue?: Integer; dimParam?: string }[] } } };
}
interface ModelProto {
  irVersion?: Integer;
  producerName?: string;
  graph?: {
    node?: NodeProto[];
    name?: string;
    initializer?: TensorProto[];
    input?: ValueInfoProto[];
    output?: ValueInfoProto[];
  };
  opsetImport?: { domain?: string; version?: Integer }[];
  functions?: Uint8Array[];
}

/** The kinds of attributes that are not read, by their `AttributeProto.AttributeType`. */
const attributeKinds: Readonly<Record<number, string>> = {
  5: 'a subgraph',
  10: 'a list of subgraphs',
  11: 'a sparse tensor',
  12: 'a list of sparse tensors',
};

const integer = (value: Integer): number => (typeof value === 'number' ? value : value.toNumber());

/** Reads a model file; the graph refers to external data, which is not read. @throws HoneError `MODEL_INVALID` */
export async function readModel(path: string): Promise<Graph> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new HoneError('MODEL_INVALID', `cannot read the model file ${path}`, { cause });
  }
  const graph = decodeModel(bytes, path);
  graph.directory = dirname(path);
  return graph;
}

/** Decodes the bytes of a model file; `where` names it in errors. */
export function decodeModel(bytes: Uint8Array, where = 'the model'): Graph {
  let model: ModelProto;
  try {
    model = ModelMessage.decode(bytes) as unknown as ModelProto;
  } catch (cause) {
    throw new HoneError('MODEL_INVALID', `${where} is not an ONNX file`, { cause });
  }
  if (!model.graph) throw new HoneError('MODEL_INVALID', `${where} holds no graph`);
  if (model.functions?.length) {
    throw new HoneError(
      'OPERATOR_UNSUPPORTED',
      `${where} defines functions, which Hone does not read; inline them with onnx.inliner.inline_local_functions`,
    );
  }
  const graph = new Graph();
  graph.name = model.graph.name ?? 'hone';
  graph.producer = model.producerName ?? '';
  graph.opsets.clear();
  for (const { domain, version } of model.opsetImport ?? []) {
    graph.opsets.set(domain === 'ai.onnx' ? '' : (domain ?? ''), integer(version ?? 0));
  }
  for (const tensor of model.graph.initializer ?? []) graph.initializers.set(tensor.name ?? '', decodeTensor(tensor));
  for (const input of model.graph.input ?? []) {
    // Files older than IR 4 list initializers as inputs, too.
    if (!graph.initializers.has(input.name)) graph.inputs.set(input.name, decodeValueInfo(input));
  }
  for (const output of model.graph.output ?? []) graph.outputs.set(output.name, decodeValueInfo(output));
  graph.nodes = (model.graph.node ?? []).map(decodeNode);
  graph.reserveNames();
  return graph;
}

function decodeNode(proto: NodeProto, index: number): Node {
  const name = proto.name || `node_${index}`;
  const module = moduleOf(new Map((proto.metadataProps ?? []).map(({ key, value }) => [key, value])));
  return {
    ...(module === undefined ? {} : { module }),
    name,
    op: proto.opType ?? '',
    domain: proto.domain === 'ai.onnx' ? '' : (proto.domain ?? ''),
    inputs: proto.input ?? [],
    outputs: proto.output ?? [],
    attributes: Object.fromEntries(
      (proto.attribute ?? []).map((a) => [a.name, decodeAttribute(a, `${proto.opType} ${name}`)]),
    ),
  };
}

/**
 * Returns the path of the module that torch.onnx notes for a node, below the decoder's class: the program that exports may
 * have wrapped that in modules of its own.
 */
function moduleOf(metadata: ReadonlyMap<string | undefined, string | undefined>): string | undefined {
  const listed = (name: string): string[] =>
    Array.from((metadata.get(`pkg.torch.onnx.${name}`) ?? '').matchAll(/'([^']*)'/g), ([, text = '']) => text);
  // The last entry of both lists is the operator.
  const scopes = listed('name_scopes').slice(0, -1);
  const decoder = scopes[listed('class_hierarchy').findIndex((name) => /^transformers(_modules)?\./.test(name))];
  const path = scopes.at(-1);
  if (path === undefined || decoder === undefined || path === decoder) return undefined;
  return decoder === '' ? path : path.startsWith(`${decoder}.`) ? path.slice(decoder.length + 1) : undefined;
}

function decodeAttribute(proto: AttributeProto, where: string): Attribute {
  switch (proto.type) {
    case attributeTypes.float:
      return { f: proto.f ?? 0 };
    case attributeTypes.int:
      return { i: integer(proto.i ?? 0) };
    case attributeTypes.string:
      return { s: new TextDecoder().decode(proto.s) };
    case attributeTypes.tensor:
      return { t: decodeTensor(proto.t ?? {}) };
    case attributeTypes.floats:
      return { fs: proto.floats ?? [] };
    case attributeTypes.ints:
      return { is: (proto.ints ?? []).map(integer) };
    case attributeTypes.strings:
      return { ss: (proto.strings ?? []).map((s) => new TextDecoder().decode(s)) };
    default:
      throw new HoneError(
        'OPERATOR_UNSUPPORTED',
        `${where}: the attribute ${proto.name} is ${attributeKinds[proto.type] ?? `of ONNX kind ${proto.type}`}, which Hone ` +
          'does not read; serve an export without this operator',
      );
  }
}

function decodeTensor(proto: TensorProto): Tensor {
  const where = `tensor ${proto.name ?? '(constant)'}`;
  const dims = (proto.dims ?? []).map(integer);
  const type = elementTypeOf(proto.dataType ?? 0, where);
  const expected = byteCount(type, dims);
  if (proto.dataLocation === 1) {
    const entries = new Map((proto.externalData ?? []).map(({ key, value }) => [key, value]));
    const location = entries.get('location');
    if (!location) throw new HoneError('MODEL_INVALID', `${where} has external data without a location`);
    return {
      type,
      dims,
      data: { location, offset: Number(entries.get('offset') ?? 0), length: Number(entries.get('length') ?? expected) },
    };
  }
  const data = inlineBytes(proto, type);
  if (data.byteLength !== expected) {
    throw new HoneError(
      'MODEL_INVALID',
      `${where} [${dims}] of ${type} needs ${expected} bytes, has ${data.byteLength}`,
    );
  }
  return { type, dims, data };
}

function inlineBytes(proto: TensorProto, type: ElementType): Uint8Array {
  if (proto.rawData?.length) return proto.rawData;
  if (proto.floatData?.length) return new Uint8Array(Float32Array.from(proto.floatData).buffer);
  if (proto.doubleData?.length) return new Uint8Array(Float64Array.from(proto.doubleData).buffer);
  if (proto.int64Data?.length)
    return new Uint8Array(BigInt64Array.from(proto.int64Data, (v) => BigInt(integer(v))).buffer);
  const ints = proto.int32Data ?? [];
  switch (elementTypes[type].bytes) {
    // Of values of 4 bits, an int32 holds one byte too, which means two of them.
    case 0.5:
    case 1:
      return Uint8Array.from(ints);
    case 2:
      return new Uint8Array(Uint16Array.from(ints).buffer);
    default:
      return new Uint8Array(Int32Array.from(ints).buffer);
  }
}

function decodeValueInfo(proto: ValueInfoProto): ValueInfo {
  const tensor = proto.type?.tensorType;
  if (!tensor) throw new HoneError('MODEL_INVALID', `value ${proto.name} is not a tensor`);
  const dims = (tensor.shape?.dim ?? []).map((dim, axis) =>
    dim.dimValue !== undefined && Object.hasOwn(dim, 'dimValue')
      ? integer(dim.dimValue)
      : dim.dimParam || `axis${axis}`,
  );
  return { type: elementTypeOf(tensor.elemType ?? 0, `value ${proto.name}`), dims };
}

/** The bytes of a model file. Nodes must be sorted (`Graph.prune` sorts them). */
export function encodeModel(graph: Graph): Uint8Array {
  const model: ModelProto = {
    // Opset 21 needs IR 10, which every onnxruntime since 1.18 reads.
    irVersion: 10,
    producerName: graph.producer,
    opsetImport: [...graph.opsets].map(([domain, version]) => ({ domain, version })),
    graph: {
      name: graph.name,
      node: graph.nodes.map((node) => ({
        name: node.name,
        opType: node.op,
        domain: node.domain,
        input: [...node.inputs],
        output: [...node.outputs],
        attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(name, value)),
      })),
      initializer: [...graph.initializers].map(([name, tensor]) => encodeTensor(tensor, name)),
      input: [...graph.inputs].map(([name, info]) => encodeValueInfo(name, info)),
      output: [...graph.outputs].map(([name, info]) => encodeValueInfo(name, info)),
    },
  };
  return ModelMessage.encode(ModelMessage.create(model as object)).finish();
}

function encodeAttribute(name: string, value: Attribute): AttributeProto {
  if ('f' in value) return { name, type: attributeTypes.float, f: value.f };
  if ('i' in value) return { name, type: attributeTypes.int, i: value.i };
  if ('s' in value) return { name, type: attributeTypes.string, s: new TextEncoder().encode(value.s) };
  if ('t' in value) return { name, type: attributeTypes.tensor, t: encodeTensor(value.t) };
  if ('fs' in value) return { name, type: attributeTypes.floats, floats: [...value.fs] };
  if ('is' in value) return { name, type: attributeTypes.ints, ints: [...value.is] };
  return { name, type: attributeTypes.strings, strings: value.ss.map((s) => new TextEncoder().encode(s)) };
}

function encodeTensor(tensor: Tensor, name?: string): TensorProto {
  const proto: TensorProto = { dims: [...tensor.dims], dataType: elementTypes[tensor.type].code };
  if (name !== undefined) proto.name = name;
  if (isExternal(tensor.data)) {
    const { location, offset, length } = tensor.data;
    proto.dataLocation = 1;
    proto.externalData = Object.entries({ location, offset, length }).map(([key, value]) => ({
      key,
      value: String(value),
    }));
  } else {
    proto.rawData = tensor.data;
  }
  return proto;
}

function encodeValueInfo(name: string, info: ValueInfo | null): ValueInfoProto {
  if (info === null) return { name };
  const dim = info.dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: elementTypes[info.type].code, shape: { dim } } } };
}
