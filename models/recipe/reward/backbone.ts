/** The supervised policy's weights as the start of the reward model. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Parameters } from '../../../src/learner/index.js';
import { float32Values, readModel } from '../../../src/onnx/index.js';
import type { Package } from '../../../src/package/index.js';
import { type DecoderShape, weightShapes } from '../decoder.js';
import { headWeight } from './classifier.js';

/** Shape and weights of a package that this recipe wrote, with a head of zeros: all completions are alike at first. */
export async function readBackbone(pkg: Package): Promise<{ shape: DecoderShape; parameters: Parameters }> {
  const graph = await readModel(pkg.modelPath);
  const config = JSON.parse(await readFile(join(pkg.directory, 'config.json'), 'utf8'));
  const { layers, hiddenSize, heads, kvHeads, headSize, vocabularySize, contextLength } = pkg.config;
  const shape: DecoderShape = {
    layers,
    hiddenSize,
    heads,
    kvHeads,
    headSize,
    vocabularySize,
    contextLength,
    ffnSize: config.intermediate_size,
    ropeTheta: config.rope_theta,
    rmsNormEpsilon: config.rms_norm_eps,
  };
  const parameters: Parameters = new Map();
  for (const [name, dims] of weightShapes(shape)) {
    const tensor = graph.initializers.get(name);
    if (tensor === undefined) throw new Error(`${pkg.modelPath} has no weight ${name}; build it with this recipe`);
    parameters.set(name, { dims, data: Float32Array.from(float32Values(tensor)) });
  }
  parameters.set(headWeight, { dims: [hiddenSize, 1], data: new Float32Array(hiddenSize) });
  return { shape, parameters };
}
