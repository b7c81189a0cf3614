export type { EncodingJob } from './encoding/encoding-job.js';
export { encodeAtOnce, type TextEncoding, ThreadedEncoding } from './encoding/text-encoding.js';
export { checkExternalData } from './external-data.js';
export { fileExists, invalidPackage, isLfsPointer, lfsPointer, readJson } from './files.js';
export { loadPackage } from './load.js';
export {
  type AttentionSite,
  adapterInputA,
  adapterInputB,
  attachAdapters,
  findAttention,
  findHead,
  findLinears,
  type LinearSite,
  transposedInitializer,
} from './lowering.js';
export { readDecoder } from './normalize.js';
export { describeNode, refuseNode } from './operators/form.js';
export { type BlockFormat, BlockQuantizer, defaultBlockSizes } from './quantization/blocks.js';
export type { Comparison } from './quantization/compare.js';
export { decodeQuantizedProducts, withUndecodedWeights } from './quantization/decoded-weights.js';
export { useIntegerProducts } from './quantization/products.js';
export {
  type MeasuredText,
  type QuantizeReport,
  type QuantizeRequest,
  quantizeAndCompare,
} from './quantization/quantize-and-compare.js';
export { quantizePackage } from './quantization/quantize-package.js';
export { type EncodedText, loadTextEncoder, type TextEncoder } from './text-encoder.js';
export { ByteDecoder } from './token-decoder.js';
export { loadTokenizer } from './tokenizer.js';
export { findTrainableLinears } from './trainable-linears.js';
export type { ChatMessage, DecoderConfig, Package, PackageTokenizer, TokenBytes, TokenDecoder } from './types.js';
