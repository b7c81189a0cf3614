/**
 * The parts of ONNX's protobuf schema (IR version 13, onnx/onnx.proto) that a decoder file uses, for protobufjs.
 *
 * The codec refuses or drops fields that are not listed here (training info, sparse tensors, device configurations,
 * function bodies). The `onnx-proto` package on npm stops at ONNX 1.10 and loses newer fields.
 */

import protobuf from 'protobufjs/light.js';

const optional = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const packed = (type: string, id: number) => ({ rule: 'repeated', type, id, options: { packed: true } });

const root = protobuf.Root.fromJSON({
  nested: {
    StringStringEntry: { fields: { key: optional('string', 1), value: optional('string', 2) } },
    OperatorSetId: { fields: { domain: optional('string', 1), version: optional('int64', 2) } },
    Tensor: {
      fields: {
        dims: repeated('int64', 1),
        dataType: optional('int32', 2),
        floatData: packed('float', 4),
        int32Data: packed('int32', 5),
        int64Data: packed('int64', 7),
        name: optional('string', 8),
        rawData: optional('bytes', 9),
        doubleData: packed('double', 10),
        uint64Data: packed('uint64', 11),
        externalData: repeated('StringStringEntry', 13),
        dataLocation: optional('int32', 14),
      },
    },
    Attribute: {
      fields: {
        name: optional('string', 1),
        f: optional('float', 2),
        i: optional('int64', 3),
        s: optional('bytes', 4),
        t: optional('Tensor', 5),
        floats: repeated('float', 7),
        ints: repeated('int64', 8),
        strings: repeated('bytes', 9),
        type: optional('int32', 20),
      },
    },
    Node: {
      fields: {
        input: repeated('string', 1),
        output: repeated('string', 2),
        name: optional('string', 3),
        opType: optional('string', 4),
        attribute: repeated('Attribute', 5),
        domain: optional('string', 7),
        metadataProps: repeated('StringStringEntry', 9),
      },
    },
    Dimension: { fields: { dimValue: optional('int64', 1), dimParam: optional('string', 2) } },
    TensorShape: { fields: { dim: repeated('Dimension', 1) } },
    TensorType: { fields: { elemType: optional('int32', 1), shape: optional('TensorShape', 2) } },
    Type: { fields: { tensorType: optional('TensorType', 1) } },
    ValueInfo: { fields: { name: optional('string', 1), type: optional('Type', 2) } },
    Graph: {
      fields: {
        node: repeated('Node', 1),
        name: optional('string', 2),
        initializer: repeated('Tensor', 5),
        input: repeated('ValueInfo', 11),
        output: repeated('ValueInfo', 12),
      },
    },
    Model: {
      fields: {
        irVersion: optional('int64', 1),
        producerName: optional('string', 2),
        producerVersion: optional('string', 3),
        graph: optional('Graph', 7),
        opsetImport: repeated('OperatorSetId', 8),
        metadataProps: repeated('StringStringEntry', 14),
        functions: repeated('bytes', 25),
      },
    },
  },
});

/** `ModelProto`. */
export const ModelMessage = root.lookupType('Model');

/** Values of `AttributeProto.AttributeType`. */
export const attributeTypes = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7, strings: 8 } as const;
