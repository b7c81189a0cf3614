/** Chooses the form of a model that fits a machine's memory, and says why. */

import { HoneError } from '../errors.js';
import type { RepositoryFile } from './listing.js';
import { inBinaryUnits } from './sizes.js';
import { answering, type Variant } from './variants.js';

/** What the choice depends on. */
export interface ChoiceConditions {
  /** The memory that this process may use, bytes. */
  readonly memoryBytes: number;
  /** The number of parameters of the checkpoint, if it is known. */
  readonly parameters?: number | undefined;
  /** Bits per weight that a checkpoint, or a float32 export, is written with. Default: those of the file. */
  readonly bits?: 32 | 8 | 4 | undefined;
}

/** A variant with the reason for it. */
export interface Choice<File extends RepositoryFile = RepositoryFile> {
  readonly variant: Variant<File>;
  /** For people, such as `in float32, and its 0.5 GiB of weights fit in half of the memory`. */
  readonly reason: string;
  /** Whether the weights are expected to fit. */
  readonly fits: boolean;
}

/** The share of the memory that weights may take: cache, activations and the learner need the rest. */
export const shareForWeights = 0.5;

/** The variants from the most exact to the least. Whatever is not listed stands between `fp16` and `int8`. */
const order = ['fp32', 'checkpoint', 'fp16', '', 'int8', 'quantized', 'uint8', 'q4', 'q4f16', 'bnb4'];

/**
 * Chooses a variant: the one that is asked for; else, for fewer bits, the one that they are made from; else the most exact one whose weights fit in half of the memory; else
 * the one that takes the least.
 * @throws HoneError `HUB_NOT_FOUND` with a table of what there is, if nothing fits the name or nothing can be read
 */
export function chooseVariant<File extends RepositoryFile>(
  variants: readonly Variant<File>[],
  asked: string | undefined,
  conditions: ChoiceConditions,
  id: string,
): Choice<File> {
  if (asked !== undefined) return takeAsked(variants, asked, conditions, id);
  const source = sourceOfBits(variants, conditions.bits);
  if (source !== undefined) return describeSource(source, conditions);
  const roomBytes = conditions.memoryBytes * shareForWeights;
  const ranked = variants
    .map((variant) => ({ variant, rank: rankOf(variant), memory: weightMemory(variant, conditions) }))
    .sort((a, b) => a.rank - b.rank || a.memory - b.memory);
  const best = ranked.find(({ memory }) => memory <= roomBytes);
  const room = `half of the memory (${inBinaryUnits(roomBytes)})`;
  if (best !== undefined) {
    const passed = ranked.slice(0, ranked.indexOf(best));
    const over = passed.map(({ variant, memory }) => `${variant.name} would take ${inBinaryUnits(memory)}`);
    const fits = `its weights take about ${inBinaryUnits(best.memory)}, which fits in ${room}`;
    const reason =
      variants.length === 1
        ? `the only form there is; ${fits}`
        : over.length === 0
          ? `the most exact form; ${fits}`
          : `the most exact form that fits: ${fits}; ${over.join(', ')}`;
    return { variant: best.variant, reason, fits: true };
  }
  const smallest = ranked.reduce<(typeof ranked)[number] | undefined>(
    (least, one) => (least === undefined || one.memory < least.memory ? one : least),
    undefined,
  );
  if (smallest === undefined) throw nothingThere(id);
  const reason = `the smallest form, but its weights take about ${inBinaryUnits(smallest.memory)}, more than ${room}`;
  return { variant: smallest.variant, reason, fits: false };
}

/** The form from which weights of 8 or 4 bits are made: the checkpoint, or else the float32 export. */
export function sourceOfBits<V extends Variant>(variants: readonly V[], bits: ChoiceConditions['bits']): V | undefined {
  if (bits === undefined || bits === 32) return undefined;
  return variants.find(({ kind }) => kind === 'checkpoint') ?? variants.find(({ name }) => name === 'fp32');
}

function describeSource<File extends RepositoryFile>(
  variant: Variant<File>,
  conditions: ChoiceConditions,
): Choice<File> {
  const memory = weightMemory(variant, conditions);
  const roomBytes = conditions.memoryBytes * shareForWeights;
  const fits = memory <= roomBytes;
  const room = `${fits ? 'which fits in' : 'more than'} half of the memory (${inBinaryUnits(roomBytes)})`;
  const reason = `for weights of ${conditions.bits} bits, which take about ${inBinaryUnits(memory)}, ${room}`;
  return { variant, reason, fits };
}

/** The memory that the weights of a variant take when they are served, bytes. */
export function weightMemory({ name, kind, weights }: Variant, { parameters, bits = 32 }: ChoiceConditions): number {
  const bytes = weights.reduce((sum, { size }) => sum + size, 0);
  if (kind === 'checkpoint') {
    // Checkpoints have 16 bits per weight unless the hub counts other ones. Blocks add scales to quantised weights.
    const count = parameters ?? bytes / 2;
    return bits === 32 ? count * 4 : (count * bits * 1.15) / 8;
  }
  if (name === 'fp32') return bits === 32 ? bytes : (bytes * bits * 1.15) / 32;
  // Hone computes in float32, and keeps quantised weights as they are.
  if (name.endsWith('fp16') || /fp16|webgpu|directml|cuda/.test(name))
    return /int4|q4/.test(name) ? bytes * 1.5 : bytes * 2;
  return name.endsWith('q4f16') ? bytes * 1.5 : bytes;
}

function rankOf({ name, kind }: Variant): number {
  if (kind === 'genai' && /cuda|gpu|directml|dml|npu|qnn/i.test(name.replaceAll('webgpu', 'gpu'))) return order.length;
  const index = order.indexOf(name.slice(name.lastIndexOf('/') + 1));
  return index < 0 ? order.indexOf('') : index;
}

function takeAsked<File extends RepositoryFile>(
  variants: readonly Variant<File>[],
  asked: string,
  conditions: ChoiceConditions,
  id: string,
): Choice<File> {
  const matching = answering(variants, asked);
  const [variant] = matching;
  if (variant === undefined || matching.length > 1) {
    if (variants.length === 0) throw nothingThere(id);
    const why = variant === undefined ? 'has no form' : 'has several forms that answer to';
    throw new HoneError('HUB_NOT_FOUND', `${id} ${why} ${asked}. It has:\n${tableOf(variants).join('\n')}`);
  }
  const memory = weightMemory(variant, conditions);
  const fits = memory <= conditions.memoryBytes * shareForWeights;
  const warning = fits ? '' : `, but its weights take about ${inBinaryUnits(memory)}, more than half of the memory`;
  return { variant, reason: `asked for${warning}`, fits };
}

/** A table of variants with their sizes, one line each. */
export function tableOf(variants: readonly Variant[]): string[] {
  const width = Math.max(...variants.map(({ name }) => name.length));
  return variants.map(
    ({ name, bytes, modelFile }) => `  :${name.padEnd(width)}  ${inBinaryUnits(bytes)}  ${modelFile}`,
  );
}

function nothingThere(id: string): HoneError {
  return new HoneError(
    'HUB_NOT_FOUND',
    `${id} holds no form of a model that Hone reads: no model.onnx (in the root, in onnx/ or beside a genai_config.json) and no model.safetensors; look for another repository of the same model`,
  );
}
