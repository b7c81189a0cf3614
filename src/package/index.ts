export { loadPackage } from './load.js';
export {
  type AttentionSite,
  adapterInputA,
  adapterInputB,
  attachAdapters,
  findAttention,
  findLinears,
  type LinearSite,
} from './lowering.js';
export { normalizeDecoder, readDecoder } from './normalize.js';
export { loadTokenizer } from './tokenizer.js';
export type { ChatMessage, DecoderConfig, Package, PackageTokenizer, TokenDecoder } from './types.js';
