export { checkAdapter, checkSameLayers, digestAdapter, zeroAdapter } from './adapter.js';
export {
  type AdapterFiles,
  type AdapterMeta,
  finiteMetrics,
  readAdapter,
  type StoredAdapter,
  writeAdapter,
} from './adapter-files.js';
export { descendants, descendsFromImport } from './ancestry.js';
export type { Candidate } from './candidate.js';
export { writeFileDurably } from './durable-files.js';
export type { KnownNumber } from './log-file.js';
export type { VersionLogOptions } from './options.js';
export { decodePeft, encodePeftWeights, peftConfig } from './peft.js';
export type { Removal } from './removal.js';
export { decodeSafeTensors, encodeSafeTensors, type SafeTensor } from './safetensors.js';
export type {
  Adapter,
  AdapterTarget,
  AdapterTensor,
  TrialState,
  Version,
  VersionState,
} from './types.js';
export { openVersionLog, type VersionLog } from './version-log.js';
