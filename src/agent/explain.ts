/** Explains the reward of a generation, and what was learned from it. Folds the stored scores as the learner does. */

import { HoneError } from '../errors.js';
import { type TrainingObstacle, type TrainingRules, trainingObstacles } from '../learner/experience/eligibility.js';
import { misfitOf } from '../learner/experience/misfit.js';
import type { Generation, Preference, PreferenceOutcome, ReplayStore, Score } from '../replay/index.js';
import { type Fold, foldReward } from '../reward/fold.js';
import { type RewardSettings, trustOf, weightOf } from '../reward/settings.js';
import type { Version } from '../versions/index.js';

/** A reason why the learner does not train on a generation now. */
export type Obstacle =
  | TrainingObstacle
  /** The learner has set it aside, because it exceeds its memory or because training breaks on it. */
  | 'set_aside'
  /** The window of a metric is still open. */
  | 'pending'
  /** It has no score and no preference that counts. */
  | 'no_feedback'
  /** The server runs without a learner. */
  | 'learner_off';

/** A preference from the side of the generation that is explained. */
export interface ExplainedPreference {
  readonly otherId: string;
  readonly outcome: PreferenceOutcome;
  readonly rater: string;
  readonly metric: string;
  /** Trust in its rater. */
  readonly trust: number;
  /** Weight of its metric. */
  readonly weight: number;
  readonly createdAtMs: number;
}

export interface Explanation {
  readonly generation: Generation;
  readonly fold: Fold;
  readonly preferences: readonly ExplainedPreference[];
  /** Its newest edits, oldest first, 1000 at most, and the reward of each. */
  readonly edits: readonly { readonly generationId: string; readonly reward: number | null }[];
  /** The number of all of its edits. */
  readonly editCount: number;
  /** Empty if the learner may train on it. */
  readonly obstacles: readonly Obstacle[];
  /** What is wrong with a generation that is `unfit` or `set_aside`, in words. */
  readonly setAsideBecause?: string;
  /** Versions that learned from it, in order; `state` is absent for a version that the log does not have. */
  readonly lessons: readonly { readonly version: number; readonly state: Version['state'] | undefined }[];
}

export interface ExplainSources {
  readonly replay: Pick<
    ReplayStore,
    'readGenerations' | 'readScores' | 'readPreferences' | 'readEdits' | 'readLessons'
  >;
  readonly reward: RewardSettings;
  readonly rules: TrainingRules;
  readonly learning: boolean;
  /** Why the learner has set a generation aside; undefined if it has not. */
  readonly setAsideBecause: (generationId: string) => string | undefined;
  readonly liveVersion: number;
  readonly nowMs: number;
  readonly version: (number: number) => Version | undefined;
}

/** @throws HoneError `GENERATION_NOT_FOUND` */
export async function explainGeneration(id: string, sources: ExplainSources): Promise<Explanation> {
  const { replay, reward } = sources;
  const [[generation], editIds, scores, preferences, lessons] = await Promise.all([
    replay.readGenerations([id]),
    replay.readEdits([id]),
    replay.readScores([id]),
    replay.readPreferences([id]),
    replay.readLessons([id]),
  ]);
  if (generation === undefined) throw generationNotFound(id);
  const fold = foldStored(generation, scores, sources);
  const explained = preferences.map((preference) => fromSideOf(id, preference, reward));
  const obstacles = obstaclesOf(generation, fold, explained, sources);
  const setAsideBecause = reasonOf(generation, obstacles, sources);
  return {
    generation,
    fold,
    preferences: explained,
    edits: await explainEdits(editIds.slice(-maxEdits), sources),
    editCount: editIds.length,
    obstacles,
    ...(setAsideBecause === undefined ? {} : { setAsideBecause }),
    lessons: lessons.map(({ version }) => ({ version, state: sources.version(version)?.state })),
  };
}

/** Edits that are explained, and how many of them are in memory at once. */
const maxEdits = 1000;
const editsPerRead = 32;

/** Reads edits a few at a time, because each comes with all of its text, and other callers' work comes between. */
async function explainEdits(ids: readonly string[], sources: ExplainSources): Promise<Explanation['edits']> {
  const { replay } = sources;
  const explained: Explanation['edits'][number][] = [];
  for (let from = 0; from < ids.length; from += editsPerRead) {
    const some = ids.slice(from, from + editsPerRead);
    const [edits, scores] = await Promise.all([replay.readGenerations(some), replay.readScores(some)]);
    for (const edit of edits) {
      const own = scores.filter(({ generationId }) => generationId === edit.id);
      explained.push({ generationId: edit.id, reward: foldStored(edit, own, sources).reward });
    }
  }
  return explained;
}

/** The error for an id that no stored generation has. */
export function generationNotFound(id: string): HoneError {
  const description = `no generation ${id} is stored`;
  return new HoneError('GENERATION_NOT_FOUND', description, { violations: [{ field: 'generation_id', description }] });
}

function foldStored(
  { finishedAtMs, origin }: Generation,
  scores: readonly Score[],
  { nowMs, reward }: ExplainSources,
): Fold {
  return foldReward(scores, { finishedAtMs, nowMs, shown: origin === 'sampled' }, reward);
}

const opposite: Readonly<Record<PreferenceOutcome, PreferenceOutcome>> = {
  better: 'worse',
  worse: 'better',
  tie: 'tie',
};

function fromSideOf(id: string, preference: Preference, reward: RewardSettings): ExplainedPreference {
  const { generationId, otherId, outcome, rater, metric, createdAtMs } = preference;
  const first = generationId === id;
  return {
    otherId: first ? otherId : generationId,
    outcome: first ? outcome : opposite[outcome],
    rater,
    metric,
    trust: trustOf(reward, rater),
    weight: weightOf(reward, metric),
    createdAtMs,
  };
}

function obstaclesOf(
  generation: Generation,
  { reward, metrics }: Fold,
  preferences: readonly ExplainedPreference[],
  { rules, liveVersion, learning, setAsideBecause }: ExplainSources,
): Obstacle[] {
  const obstacles: Obstacle[] = trainingObstacles(generation, rules, liveVersion);
  if (!obstacles.includes('unfit') && setAsideBecause(generation.id) !== undefined) obstacles.push('set_aside');
  const compared = preferences.some(({ trust, weight }) => trust > 0 && weight > 0);
  if (reward === null && !compared) {
    obstacles.push(metrics.some((metric) => metric.state === 'pending') ? 'pending' : 'no_feedback');
  }
  if (!learning) obstacles.push('learner_off');
  return obstacles;
}

function reasonOf(
  generation: Generation,
  obstacles: readonly Obstacle[],
  { rules, setAsideBecause }: ExplainSources,
): string | undefined {
  if (obstacles.includes('set_aside')) return setAsideBecause(generation.id);
  const misfit = obstacles.includes('unfit') ? misfitOf(generation, rules.decoder) : null;
  return misfit === null ? undefined : `${misfit.field}: ${misfit.description}`;
}
