export { adapterTargets, checkAdapter, checkSameLayers, digestAdapter, zeroAdapter } from './adapter.js';
export {
  type AdapterFiles,
  type AdapterMeta,
  finiteMetrics,
  readAdapter,
  type StoredAdapter,
  writeAdapter,
} from './adapter-files.js';
export { writeDirectoryDurably, writeFileDurably } from './durable-files.js';
export { decodePeft, encodePeftWeights, peftConfig } from './peft.js';
export { defaultKeepVersions, type Removal } from './retention.js';
export { decodeSafeTensors, encodeSafeTensors, type SafeTensor, type SafeTensorsFile } from './safetensors.js';
export type {
  Adapter,
  AdapterTarget,
  AdapterTensor,
  TrialState,
  Version,
  VersionCheck,
  VersionState,
} from './types.js';
export { type Candidate, openVersionLog, type VersionLog, type VersionLogOptions } from './version-log.js';
