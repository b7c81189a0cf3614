/**
 * The learner's checkpoint: what it needs to go on after it was killed, which is weights, moments, counters, and how often
 * each completion was used. It is one safetensors file with a digest over everything in it, and it is replaced as a whole
 * (temporary file, fsync, rename).
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { decodeSafeTensors, encodeSafeTensors, type SafeTensor, writeFileDurably } from '../../versions/index.js';
import type { AdamWState } from '../adamw.js';
import type { BaselineState, ObservedWindow } from '../baseline/types.js';
import type { LessonsSegment } from '../experience/lessons.js';
import type { Parameters } from '../types.js';
import type { MeterState } from './round-meter.js';
import type { SetbacksState } from './setbacks.js';

/** All but the tensors; plain JSON. Optional fields are absent in checkpoints of earlier builds. */
export interface CheckpointState {
  readonly packageDigest: string;
  readonly rank: number;
  readonly scale: number;
  /** The version that was live when the checkpoint was written. */
  readonly liveVersion: number;
  readonly liveDigest: string;
  /** Digests of the offered candidates that had not become live, oldest first. */
  readonly candidateDigests: readonly string[];
  /** Sequence number of the last change of the store that earlier rounds have seen. */
  readonly sequence: number;
  /** Sequence number of the last change of the store that the learner had read. */
  readonly readSequence?: number;
  /** Sequence number of the last change of the store up to which records that were set aside have been reported. */
  readonly reportedUpTo?: number;
  /** Groups with feedback after this sequence number are the newest of the open round. */
  readonly cutoff?: number;
  /** Steps of the open round and of the one before. */
  readonly meter?: MeterState;
  readonly setbacks?: SetbacksState;
  /** Entries that may not be given back again. */
  readonly givenBack?: readonly string[];
  /** ln pi_ref(y|x) by entry of the buffer, kept because computing it again could change its last digits. */
  readonly references?: readonly (readonly [string, number])[];
  /** Engine, device and kind of log-probability that computed `references`. */
  readonly referencesOf?: string;
  /** Completions that the open round still has to use; 0 between rounds. */
  readonly owedRows: number;
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  readonly optimizerStep: number;
  readonly baseline: readonly number[];
  /** The version that is the reference. */
  readonly reference?: { readonly version: number; readonly digest: string };
  /** What V(x) was fitted on; absent with other baselines. */
  readonly baselineWindow?: ObservedWindow;
  /** Entries of the buffer with their number of uses. */
  readonly uses: readonly (readonly [string, number])[];
  /** Generations whose reward waited for a window to close. */
  readonly pending?: readonly string[];
  /** What the weights have learned from since the live version. */
  readonly lessons?: readonly LessonsSegment[];
}

export interface Checkpoint {
  readonly state: CheckpointState;
  readonly parameters: Parameters;
  readonly moments: AdamWState['moments'];
  /** Weights of the reference; empty if it is the zero adapter. */
  readonly reference: Parameters;
  /** Tensors of the baseline, besides its window. */
  readonly baselineTensors?: BaselineState['tensors'] | undefined;
}

const format = 'hone-learner-1';

/** Replaces the checkpoint; it is on disk when this resolves. */
export async function writeCheckpoint(
  path: string,
  { state, parameters, moments, reference, baselineTensors }: Checkpoint,
): Promise<void> {
  const tensors = new Map<string, SafeTensor>();
  for (const [name, tensor] of parameters) tensors.set(`parameter/${name}`, tensor);
  for (const [name, tensor] of reference) tensors.set(`reference/${name}`, tensor);
  for (const [name, { first, second }] of moments) {
    tensors.set(`first/${name}`, { dims: [first.length], data: first });
    tensors.set(`second/${name}`, { dims: [second.length], data: second });
  }
  for (const [name, tensor] of baselineTensors ?? []) tensors.set(`baseline/${name}`, tensor);
  const json = JSON.stringify(state);
  await writeFileDurably(path, encodeSafeTensors(tensors, { format, state: json, digest: digest(json, tensors) }));
}

/**
 * The checkpoint, or null if there is none.
 * @throws HoneError `ADAPTER_INVALID` if the file is torn, altered, or of another format
 */
export async function readCheckpoint(path: string): Promise<Checkpoint | null> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw HoneError.from(error);
  });
  if (bytes === null) return null;
  const { tensors, metadata } = decodeSafeTensors(bytes);
  const json = metadata.state ?? '';
  if (metadata.format !== format || metadata.digest !== digest(json, tensors)) {
    throw new HoneError('ADAPTER_INVALID', `the learner's checkpoint ${path} is damaged or of another format`);
  }
  const parameters: Parameters = new Map();
  const reference: Parameters = new Map();
  const baselineTensors = new Map<string, SafeTensor>();
  const moments = new Map<string, { first: Float32Array; second: Float32Array }>();
  for (const [name, tensor] of tensors) {
    const [kind, parameter] = splitName(name);
    if (kind === 'parameter') parameters.set(parameter, tensor);
    if (kind === 'reference') reference.set(parameter, tensor);
    if (kind === 'baseline') baselineTensors.set(parameter, tensor);
    if (kind !== 'first') continue;
    const second = tensors.get(`second/${parameter}`)?.data;
    if (second !== undefined) moments.set(parameter, { first: tensor.data, second });
  }
  const checkpoint = { state: JSON.parse(json) as CheckpointState, parameters, moments, reference };
  return baselineTensors.size === 0 ? checkpoint : { ...checkpoint, baselineTensors };
}

function splitName(name: string): [string, string] {
  const slash = name.indexOf('/');
  return [name.slice(0, slash), name.slice(slash + 1)];
}

function digest(json: string, tensors: ReadonlyMap<string, SafeTensor>): string {
  const hash = createHash('sha256').update(json);
  for (const name of [...tensors.keys()].sort()) {
    const { dims, data } = tensors.get(name) as SafeTensor;
    hash.update(`\n${name} ${dims.join('x')}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
