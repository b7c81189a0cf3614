export {
  type AttentionSite,
  adapterInputA,
  adapterInputB,
  attachAdapters,
  findAttention,
  findLinears,
  type LinearSite,
} from './lowering.js';
