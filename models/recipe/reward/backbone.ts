/** Takes the weights of the supervised policy as the initial weights of the reward model. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Parameters } from '../../../src/learner/index.js';
import { float32Values, readModel } from '../../../src/onnx/index.js';
import type { Package } from '../../../src/package/index.js';
import { type DecoderShape, weightShapes } from '../decoder.js';
import { headWeight } from './classifier.js';

/** Reads shape and weights of a package that this recipe wrote, and adds a head of zeros: at first all rewards are equal. */
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
    if (tensor === undefined)
      throw new Error(`${pkg.modelPath} has no weight ${name}; make it with npm run model:build`);
    parameters.set(name, { dims, data: Float32Array.from(float32Values(tensor)) });
  }
  parameters.set(headWeight, { dims: [hiddenSize, 1], data: new Float32Array(hiddenSize) });
  return { shape, parameters };
}
