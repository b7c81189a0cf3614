/** Lets learners take turns on the same batch, one step each, and measures the machine's GEMM rate in every round. */

import { say } from './progress.js';
import type { Learner, TrainingStep } from './train-in-child.js';

export interface LearnRound {
  /** Milliseconds of the step of each learner. */
  readonly ms: ReadonlyMap<string, number>;
  readonly gemm: { readonly flopsPerSecond: number; readonly shape: string };
}

interface LearnContest {
  readonly rounds: readonly LearnRound[];
  /** Memory of each learner's process after the last round. */
  readonly memory: ReadonlyMap<string, TrainingStep>;
  /** Time until the first learner was open. */
  readonly prepareMs: number;
  /** A sentence for each learner that computes something else than the first. */
  readonly problems: readonly string[];
}

/** Relative tolerance of losses and gradient norms, which are float32 sums in different orders. */
const tolerance = 1e-3;

/**
 * Runs the learners and closes them. A check and one uncounted step warm each up; a learner that fails there is left
 * out, with a message.
 * @param learners the others are compared with the first
 */
export async function runLearnContest(
  learners: Map<string, Learner>,
  rounds: number,
  measureGemm: () => Promise<LearnRound['gemm']>,
): Promise<LearnContest> {
  const [first] = learners.keys();
  const problems: string[] = [];
  const memory = new Map<string, TrainingStep>();
  const results: LearnRound[] = [];
  try {
    let expected: { readonly loss: number; readonly norm: number } | undefined;
    for (const [name, learner] of [...learners]) {
      try {
        const { loss, norm } = await learner.check();
        expected ??= { loss, norm };
        for (const [what, theirs, our] of [
          ['loss', loss, expected.loss],
          ['gradient norm', norm, expected.norm],
        ] as const) {
          if (Math.abs(theirs - our) > tolerance * Math.abs(our)) {
            problems.push(
              `the ${what} of ${learner.about} is ${theirs}, not ${our}: it does not compute the same step`,
            );
          }
        }
        await learner.step();
      } catch (error) {
        if (name === first) throw error;
        say(`${name} is left out: ${error instanceof Error ? error.message : error}`);
        learners.delete(name);
        await learner.close();
      }
    }
    const prepareMs = learners.get(first as string)?.prepareMs ?? 0;
    for (let round = 0; round < rounds; round++) {
      const ms = new Map<string, number>();
      for (const [name, learner] of learners) {
        const step = await learner.step();
        ms.set(name, step.ms);
        memory.set(name, step);
      }
      results.push({ ms, gemm: await measureGemm() });
    }
    return { rounds: results, memory, prepareMs, problems };
  } finally {
    for (const learner of learners.values()) await learner.close();
  }
}
