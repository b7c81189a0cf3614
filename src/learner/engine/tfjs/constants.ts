/** Constants of a graph as TF.js tensors. */

import { float32Values, int64Values, isExternal, type Tensor as OnnxTensor } from '../../../onnx/index.js';
import { type Tensor, type TensorFlow, unsupported } from './values.js';

const int32Max = 2 ** 31 - 1;

/** ONNX writes "to the end" as the largest int64. */
const clampInt32 = (value: number): number => Math.max(-int32Max, Math.min(int32Max, value));

/** A constant whose bytes are in memory. @throws HoneError `OPERATOR_UNSUPPORTED`, `MODEL_INVALID` */
export function constant(tf: TensorFlow, tensor: OnnxTensor): Tensor {
  const dims = [...tensor.dims];
  switch (tensor.type) {
    case 'float32':
      return tf.tensor(float32Values(tensor), dims, 'float32');
    case 'int64':
      return tf.tensor(Int32Array.from(int64Values(tensor), clampInt32), dims, 'int32');
    case 'int32':
      return tf.tensor(new Int32Array(bytesOf(tensor).buffer), dims, 'int32');
    case 'uint8':
      // The codes of quantised weights are uint8.
      return tf.tensor(Int32Array.from(bytesOf(tensor)), dims, 'int32');
    case 'bool':
      return tf.tensor(bytesOf(tensor), dims, 'bool');
    default:
      return unsupported(`constants of type ${tensor.type}`);
  }
}

/** A copy of the bytes, aligned to their elements. */
function bytesOf({ data }: OnnxTensor): Uint8Array<ArrayBuffer> {
  return isExternal(data) ? unsupported('constants outside the model') : new Uint8Array(data);
}
