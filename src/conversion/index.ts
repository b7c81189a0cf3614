export { hasCheckpoint } from './checkpoint/checkpoint-files.js';
export {
  type ConvertedCheckpoint,
  type ConvertOptions,
  convertCheckpoint,
} from './checkpoint/convert-checkpoint.js';
export { convertedModelTypes } from './families/index.js';
export { convertModelFile } from './numbers/convert-model-file.js';
export { type ConvertedNumbers, convertNumbers } from './numbers/convert-numbers.js';
export { needsConversion } from './numbers/needs-conversion.js';
export { type WriteOptions, type WrittenModel, writeModel } from './weights/write-model.js';
