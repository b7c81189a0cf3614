/** The messages between the server and the learner process: plain JSON over the child's channel. */

import type { RewardSettings } from '../../reward/index.js';
import type { EngineName } from '../engine/names.js';
import type { DecoderLimits } from '../experience/misfit.js';
import type { SetAsideRecord } from '../quarantine/set-aside.js';
import type { GuardCheck } from '../round/guard.js';
import type { LearnerSettings } from '../types.js';
import type { LearnerProgress } from './status.js';

/** The first command: starts the learner in its process. */
export interface LearnerStart {
  readonly type: 'start';
  readonly packageDirectory: string;
  readonly packageDigest: string;
  /** What the package's decoder can hold: no other record trains. */
  readonly decoder: DecoderLimits;
  readonly replayPath: string;
  /** The checkpoint and the candidates lie here. */
  readonly directory: string;
  readonly settings: LearnerSettings;
  /** How scores become rewards. Default: all metrics and raters count alike, scores go from 0 to 1. */
  readonly reward?: RewardSettings;
  readonly liveVersion: number;
  /** Folder of the live version's adapter; null is the zero adapter. */
  readonly adapterPath: string | null;
  /** Digest recorded for that version: the learner refuses files with other weights. */
  readonly adapterDigest: string;
  /** Milliseconds between checkpoints within a round. Default 5000. */
  readonly checkpointEveryMs?: number;
  /**
   * Least milliseconds between two progress events; 0 sends one for each step and each read.
   * Default 250 while training, 1000 while idle.
   */
  readonly reportEveryMs?: number;
  /** Whether a halted learner goes on, because a person asked for it. Default false. */
  readonly goOn?: boolean;
  /** Whether the live version is a rollback: the learner gives up weights from before it. Default false. */
  readonly rolledBack?: boolean;
  /** Whether the live version descends from an import, whose KL to version 0 has no known bound. Default false. */
  readonly imported?: boolean;
  /** The number of the last command to relearn that no process has carried out. Default: none is left. */
  readonly relearn?: number;
}

/** Another version is live: train on from its weights. */
export interface LiveVersionChange {
  readonly version: number;
  /** As {@link LearnerStart.adapterPath}. */
  readonly adapterPath: string | null;
  /** As {@link LearnerStart.adapterDigest}. */
  readonly adapterDigest: string;
  readonly rolledBack: boolean;
  /** As {@link LearnerStart.imported}. */
  readonly imported?: boolean;
}

/** What the server tells a learner that has started. */
export type RunnerCommand =
  /** A promotion or a rollback made another version live. */
  | ({ readonly type: 'live' } & LiveVersionChange)
  /** An offered version will never serve: if these weights come from it, go back to the live ones. */
  | { readonly type: 'rejected'; readonly adapterDigest: string }
  /** A person's data was erased: if these weights learned from it, go back to the live ones. */
  | { readonly type: 'erased' }
  /** Learn from everything that the store still holds as if for the first time. Later commands have larger numbers. */
  | { readonly type: 'relearn'; readonly number: number }
  /** The store has changed: read it again. */
  | { readonly type: 'changed' }
  /** A halted learner goes on. */
  | { readonly type: 'go_on' }
  /** Finish the step in flight, write the checkpoint, exit. */
  | { readonly type: 'stop' };

export type LearnerCommand = LearnerStart | RunnerCommand;

/** The engine that computes gradients, and its device. */
export interface EngineReport {
  readonly engine: EngineName;
  /** An execution provider of onnxruntime, or a backend of TensorFlow.js. */
  readonly device: string;
  /** How the device was chosen, in words. */
  readonly detail: string;
  /** Milliseconds of a step on each device that was timed. */
  readonly stepMs: Readonly<Record<string, number>>;
  /** Bytes that the process keeps to; null if nothing bounds it. */
  readonly memoryBytes: number | null;
}

/** What the learner process tells the server. */
export type LearnerEvent =
  /** The learner knows the whole store and waits for scores. */
  | { readonly type: 'ready'; readonly pid: number }
  /** The training engine is open. */
  | { readonly type: 'engine'; readonly report: EngineReport }
  | { readonly type: 'progress'; readonly progress: LearnerProgress }
  /** A trained adapter lies in `directory` (PEFT layout); the agent adopts it as a version or rejects it. */
  | {
      readonly type: 'candidate';
      readonly directory: string;
      readonly adapterDigest: string;
      readonly parent: number;
      readonly metrics: Readonly<Record<string, number>>;
      /** Generations that the adapter learned from since the live version. */
      readonly lessons: readonly string[];
    }
  /** All commands to relearn up to this number were carried out, and the checkpoint on disk holds that. */
  | { readonly type: 'relearned'; readonly upTo: number }
  /** Records that the learner has set aside. `isNews`: since this process or an earlier one last reported them. */
  | { readonly type: 'set_aside'; readonly records: readonly SetAsideRecord[]; readonly isNews: boolean }
  /** The process before died in a pass of the engine. This one looks for the record at fault. */
  | { readonly type: 'investigating' }
  /** A round went out of bounds: the weights are those of the live version again. */
  | {
      readonly type: 'setback';
      readonly check: GuardCheck;
      /** The version that was live. */
      readonly liveVersion: number;
      /** What went out of bounds, with its figures, what followed, and what to do. */
      readonly message: string;
      readonly numbers: Readonly<Record<string, number>>;
    }
  /** The learner now gets too little of the processor. The server finds that out, not the process. */
  | {
      readonly type: 'starved';
      /** How little, why, and what to do. */
      readonly message: string;
      readonly numbers: Readonly<Record<string, number>>;
    }
  /** It gets enough again, or needs none. */
  | { readonly type: 'recovered'; readonly message: string; readonly numbers: Readonly<Record<string, number>> }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };
