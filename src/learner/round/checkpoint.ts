/**
 * What the learner needs to go on after it was killed: weights, moments, counters, and how often each completion was
 * used. One safetensors file, replaced whole (temporary file, fsync, rename), with a digest over everything in it.
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

/** Everything but the tensors; plain JSON. */
export interface CheckpointState {
  readonly packageDigest: string;
  readonly rank: number;
  readonly scale: number;
  /** The version that was live when it was written. */
  readonly liveVersion: number;
  readonly liveDigest: string;
  /** Digests of candidates that were offered and had not become live, oldest first. */
  readonly candidateDigests: readonly string[];
  /** Last change of the store that earlier rounds have seen. */
  readonly sequence: number;
  /** Last change of the store that this learner had read; absent in checkpoints of earlier builds, as is what follows. */
  readonly readSequence?: number;
  /** Groups with feedback after this one are the newest of the round in flight. */
  readonly cutoff?: number;
  /** Steps of the round in flight and of the one before. */
  readonly meter?: MeterState;
  readonly setbacks?: SetbacksState;
  /** Entries that may not be given back again. */
  readonly givenBack?: readonly string[];
  /** ln pi_ref(y|x) by entry of the buffer, computed as `referencesOf` says: anew, they could differ in their last digits. */
  readonly references?: readonly (readonly [string, number])[];
  readonly referencesOf?: string;
  /** Completions that the round in flight still has to use; 0 between rounds. */
  readonly owedRows: number;
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  readonly optimizerStep: number;
  readonly baseline: readonly number[];
  /** Where the reference has moved: the number of its version, and the digest. */
  readonly reference?: { readonly version: number; readonly digest: string };
  /** What V(x) was fitted on; absent with other baselines, and in checkpoints of earlier builds. */
  readonly baselineWindow?: ObservedWindow;
  /** Entry of the buffer and number of uses. */
  readonly uses: readonly (readonly [string, number])[];
  /** Generations whose reward waited for a window to close. */
  readonly pending?: readonly string[];
  /** What the weights were learned from on top of the live version; absent in checkpoints of earlier builds. */
  readonly lessons?: readonly LessonsSegment[];
}

export interface Checkpoint {
  readonly state: CheckpointState;
  readonly parameters: Parameters;
  readonly moments: AdamWState['moments'];
  /** Of the reference; empty where it is the zero adapter. */
  readonly reference: Parameters;
  /** Of the baseline, beside its window. */
  readonly baselineTensors?: BaselineState['tensors'] | undefined;
}

const format = 'hone-learner-1';

/** Replaces the checkpoint; on disk when it resolves. */
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
 * The checkpoint, or null when there is none.
 * @throws HoneError `ADAPTER_INVALID` when the file is torn, altered, or of another format
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
