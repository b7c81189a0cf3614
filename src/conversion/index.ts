export { hasCheckpoint } from './checkpoint/checkpoint-files.js';
export {
  type ConvertedCheckpoint,
  type ConvertOptions,
  convertCheckpoint,
} from './checkpoint/convert-checkpoint.js';
export { convertedModelTypes } from './families/index.js';
