/**
 * Entry point of a proof: a child of the server that runs the untouched file, then Hone's decode graph, then its training
 * graph, one after another, so that no two of them are in memory at once. What it took is given back when it ends.
 */

import { HoneError } from '../errors.js';
import { loadPackage } from '../package/index.js';
import { compareSums, compareTokens, isEqual } from './compare.js';
import { askFile, type FileAnswers } from './file-answers.js';
import { askDecoder, askTraining } from './own-answers.js';
import type { Proof, ProofReply, ProofTask } from './proof.js';
import { comparedTokens, sequencesFor } from './sequences.js';

process.once('disconnect', () => process.exit(1));
process.once('message', (task: ProofTask) => {
  prove(task).then(
    (proof) => answer({ proof }),
    (thrown: unknown) => answer({ failure: HoneError.from(thrown).toJSON() }),
  );
});

function answer(reply: ProofReply): void {
  process.send?.(reply, () => process.exit(0));
}

async function prove({ packageDirectory, modelFile, settings, threads }: ProofTask): Promise<Proof> {
  const pkg = await loadPackage(packageDirectory);
  const sequences = sequencesFor(pkg);
  const ask = (path: string) => askFile(path, pkg.config, sequences, threads);
  const untouched = await ask(modelFile);
  // What was written in other numbers has the file's operators, so that the two differ by their numbers only.
  const file = modelFile === pkg.modelPath ? untouched : await ask(pkg.modelPath);
  if ('reason' in file) return { outcome: 'unjudged', reason: file.reason };
  const numbers =
    file === untouched || 'reason' in untouched
      ? null
      : compareTokens(file.answers, untouched.logits, untouched.tolerance);
  const serving = compareTokens(await askDecoder(pkg, sequences, threads), file.logits, file.tolerance);
  const learning =
    settings === null
      ? null
      : compareSums(
          await askTraining(packageDirectory, settings, sequences, threads),
          sumsOf(file),
          comparedTokens,
          file.tolerance,
        );
  const all = [numbers, serving, learning];
  return {
    outcome: all.every((one) => one === null || isEqual(one)) ? 'equal' : 'differs',
    numbers,
    serving,
    learning,
  };
}

/** The log-probability of each completion. */
function sumsOf({ answers }: FileAnswers): number[] {
  const sums: number[] = [];
  for (let at = 0; at < answers.length; at += comparedTokens) {
    sums.push(answers.slice(at, at + comparedTokens).reduce((sum, { logprob }) => sum + logprob, 0));
  }
  return sums;
}
