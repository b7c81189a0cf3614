/**
 * Frequencies of rotary positions, as `transformers` computes them (modeling_rope_utils.py), and their tables.
 *
 * Scalings that depend on the length of the sequence (dynamic, longrope) are computed for the lengths at which they are
 * constant, which bounds the context.
 */

import type { ConfigFields } from './config-fields.js';

export interface RotaryTables {
  /** By pair of numbers: the angle that one position adds. Half of the rotated numbers of a head. */
  readonly inverseFrequencies: readonly number[];
  /** A factor of cosines and sines. */
  readonly factor: number;
  /** Longest sequence for which these frequencies hold; null for any. */
  readonly longest: number | null;
}

export interface RotarySettings {
  readonly headSize: number;
  /** `max_position_embeddings` of the configuration. */
  readonly contextLength: number;
  /** The base if the file names none. */
  readonly theta: number;
  /** The rotated share of a head if the file names none. Default 1. */
  readonly share?: number;
}

/**
 * Reads `rope_theta`, `rope_scaling`, `partial_rotary_factor`, or `rope_parameters`, which holds all of them since
 * transformers 5.
 * @throws HoneError `OPERATOR_UNSUPPORTED` for an unknown kind of scaling or field
 */
export function readRotary(fields: ConfigFields, settings: RotarySettings): RotaryTables {
  const parameters = fields.object('rope_parameters');
  const scaling = fields.object('rope_scaling');
  const olderTheta = fields.optionalNumber('rope_theta');
  const theta = parameters?.optionalNumber('rope_theta') ?? olderTheta ?? settings.theta;
  // Files of transformers 5 may have the field in both places.
  const older = fields.optionalNumber('partial_rotary_factor');
  const share = parameters?.optionalNumber('partial_rotary_factor') ?? older ?? settings.share ?? 1;
  return rotaryTables(fields, parameters ?? scaling, theta, share, settings);
}

/**
 * Returns the tables of one kind of layer.
 * @param scaling the object with the kind of scaling; null for none
 */
export function rotaryTables(
  fields: ConfigFields,
  scaling: ConfigFields | null,
  theta: number,
  share: number,
  settings: Pick<RotarySettings, 'headSize' | 'contextLength'>,
): RotaryTables {
  const rotated = Math.floor(settings.headSize * share);
  if (rotated % 2 !== 0 || rotated < 2 || rotated > settings.headSize) {
    throw fields.refuse(
      'partial_rotary_factor',
      `is ${share}, which rotates ${rotated} of ${settings.headSize} numbers`,
    );
  }
  const plain = plainFrequencies(theta, rotated);
  if (scaling === null) return { inverseFrequencies: plain, factor: 1, longest: null };
  // The older name of the field is `type`; files may have both.
  const older = scaling.has('type') ? scaling.text('type') : 'default';
  const kind = scaling.has('rope_type') ? scaling.text('rope_type') : older;
  const scale = Object.hasOwn(scalings, kind) ? scalings[kind] : undefined;
  if (scale === undefined) {
    throw scaling.refuse('rope_type', `is ${kind}, but Hone computes ${Object.keys(scalings).join(', ')}`);
  }
  const tables = scale({ fields, scaling, plain, theta, rotated, contextLength: settings.contextLength });
  scaling.ignore('rope_theta', 'partial_rotary_factor', 'type', 'rope_type');
  scaling.refuseUnread();
  return tables;
}

interface Scaled {
  readonly fields: ConfigFields;
  readonly scaling: ConfigFields;
  /** Frequencies without a scaling. */
  readonly plain: readonly number[];
  readonly theta: number;
  /** Rotated numbers of a head. */
  readonly rotated: number;
  readonly contextLength: number;
}

const scalings: Readonly<Record<string, (scaled: Scaled) => RotaryTables>> = {
  default: ({ plain }) => ({ inverseFrequencies: plain, factor: 1, longest: null }),
  linear: ({ plain, scaling }) => {
    const factor = scaling.number('factor');
    return { inverseFrequencies: plain.map((value) => Math.fround(value / factor)), factor: 1, longest: null };
  },
  // The base grows only with sequences that are longer than the model's context.
  dynamic: ({ plain, scaling, contextLength }) => {
    scaling.number('factor');
    scaling.only('original_max_position_embeddings', contextLength);
    return { inverseFrequencies: plain, factor: 1, longest: contextLength };
  },
  llama3,
  yarn,
  longrope,
  // The first name of longrope, in Phi-3's files.
  su: longrope,
};

/** theta^(-2i/rotated), rounded as in float32. */
function plainFrequencies(theta: number, rotated: number): number[] {
  return Array.from({ length: rotated / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / rotated))),
  );
}

/** Long waves are slowed down by the factor, short ones are kept, and those between are mixed. */
function llama3({ plain, scaling }: Scaled): RotaryTables {
  const factor = scaling.number('factor');
  const low = scaling.number('low_freq_factor');
  const high = scaling.number('high_freq_factor');
  const original = scaling.count('original_max_position_embeddings');
  const inverseFrequencies = plain.map((value) => {
    const wave = (2 * Math.PI) / value;
    if (wave > original / low) return Math.fround(value / factor);
    if (wave < original / high) return value;
    const smooth = (original / wave - low) / (high - low);
    return Math.fround(((1 - smooth) * value) / factor + smooth * value);
  });
  return { inverseFrequencies, factor: 1, longest: null };
}

/** YaRN (https://arxiv.org/abs/2309.00071). */
function yarn({ plain, scaling, theta, rotated, contextLength }: Scaled): RotaryTables {
  const factor = scaling.number('factor');
  const original = scaling.optionalNumber('original_max_position_embeddings') ?? contextLength;
  // Versions of transformers take the factor from either, so that files in which both differ are ambiguous.
  if (scaling.has('original_max_position_embeddings') && Math.abs(contextLength / original - factor) > 1e-6 * factor) {
    throw scaling.refuse(
      'factor',
      `is ${factor}, but max_position_embeddings is ${contextLength / original} times original_max_position_embeddings`,
    );
  }
  const attention = scaling.optionalNumber('attention_factor');
  const mscale = scaling.optionalNumber('mscale');
  const mscaleAll = scaling.optionalNumber('mscale_all_dim');
  const fast = scaling.optionalNumber('beta_fast') ?? 32;
  const slow = scaling.optionalNumber('beta_slow') ?? 1;
  const whole = scaling.flag('truncate', true);
  const strength = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const dimension = (turns: number): number =>
    (rotated * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [dimension(fast), dimension(slow)];
  const low = Math.max(whole ? Math.floor(first) : first, 0);
  const high = Math.min(whole ? Math.ceil(last) : last, rotated - 1);
  const inverseFrequencies = plain.map((value, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)));
    return Math.fround((value / factor) * ramp + value * (1 - ramp));
  });
  const mixed = mscale && mscaleAll ? strength(mscale) / strength(mscaleAll) : strength(1);
  return { inverseFrequencies, factor: attention ?? mixed, longest: null };
}

/** LongRoPE within the original context, which has tables of its own (`short_factor`). */
function longrope({ fields, scaling, plain, contextLength }: Scaled): RotaryTables {
  const short = scaling.numbers('short_factor');
  scaling.numbers('long_factor');
  if (short.length !== plain.length) {
    throw scaling.refuse('short_factor', `has ${short.length} factors for ${plain.length} pairs of numbers`);
  }
  const stated = fields.optionalNumber('original_max_position_embeddings');
  const original = scaling.optionalNumber('original_max_position_embeddings') ?? stated ?? contextLength;
  const attention = scaling.optionalNumber('attention_factor');
  const given = scaling.optionalNumber('factor');
  const factor = original === contextLength ? (given ?? 1) : contextLength / original;
  return {
    inverseFrequencies: plain.map((value, i) => Math.fround(value / (short[i] as number))),
    factor: attention ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))),
    longest: original,
  };
}

/**
 * Returns rows of cosines or sines, [count, pairs], from position `first` on. Angles are rounded as in float32.
 */
export function rotaryRows(tables: RotaryTables, part: 'cos' | 'sin', first: number, count: number): Float32Array {
  const { inverseFrequencies, factor } = tables;
  const pairs = inverseFrequencies.length;
  const rows = new Float32Array(count * pairs);
  const turn = part === 'cos' ? Math.cos : Math.sin;
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < pairs; i++) {
      const angle = Math.fround((first + row) * (inverseFrequencies[i] as number));
      rows[row * pairs + i] = turn(angle) * factor;
    }
  }
  return rows;
}
