export { encodeModel, readModel } from './codec.js';
export { decodeFloats, type FloatType, floatTypes, isFloatType } from './float-values.js';
export {
  type AddOptions,
  type Attribute,
  type Attributes,
  Graph,
  intsAttribute,
  microsoft,
  type Node,
  numberAttribute,
  textAttribute,
  type ValueInfo,
} from './graph.js';
export { createSession, openSession, startRuntime } from './session.js';
export { probeShapes, probeValues, type ValueShape, zeros } from './shapes.js';
export {
  byteCount,
  type ElementType,
  elementCount,
  elementTypes,
  float32Tensor,
  float32Values,
  int64Tensor,
  int64Values,
  isExternal,
  type Tensor,
} from './tensor.js';
export { WeightReader } from './weight-reader.js';
