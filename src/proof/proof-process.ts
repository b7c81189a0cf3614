/**
 * Entry point of a proof: a child of the server that runs the untouched file, then Hone's decode graph, then its training
 * graph, one after another, so that no two of them are in memory at once. What it took is given back when it ends.
 */

import { HoneError } from '../errors.js';
import { initialParameters, openEngine } from '../learner/index.js';
import { type Graph, readModel } from '../onnx/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../package/index.js';
import { openPolicy, type Policy, plainSampling } from '../policy/index.js';
import { digestAdapter, zeroAdapter } from '../versions/index.js';
import { toleranceFor } from './arithmetic.js';
import { compareSums, compareTokens, isEqual, logSumExp, type TokenAnswer } from './compare.js';
import type { Comparison, Proof, ProofReply, ProofTask, Tolerance } from './proof.js';
import { comparedTokens, prefillChunk, type Sequence, sequencesFor } from './sequences.js';
import { UntouchedFile } from './untouched-file.js';

/** Times that a file's difference to itself is allowed, where a row of it depends on its neighbours. */
const selfMargin = 3;
const kvMemoryBytes = 2 ** 28;

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

async function prove(task: ProofTask): Promise<Proof> {
  const pkg = await loadPackage(task.packageDirectory);
  const sequences = sequencesFor(pkg);
  const graph = await readModel(task.modelFile);
  let file: FileAnswers;
  try {
    file = await askFile(task, graph, pkg, sequences);
  } catch (thrown) {
    const error = HoneError.from(thrown);
    if (error.code !== 'MODEL_INVALID') throw error;
    return { outcome: 'unjudged', reason: error.message };
  }
  const serving = compareTokens(await askDecoder(task, pkg, sequences), file.logits, file.tolerance);
  const learning = task.settings === null ? null : await compareLearning(task, sequences, file);
  const equal = isEqual(serving) && (learning === null || isEqual(learning));
  return { outcome: equal ? 'equal' : 'differs', serving, learning };
}

interface FileAnswers {
  /** By compared token of all sequences. */
  readonly logits: readonly Float32Array[];
  readonly tolerance: Tolerance;
}

async function askFile(
  { modelFile, threads }: ProofTask,
  graph: Graph,
  pkg: Package,
  sequences: readonly Sequence[],
): Promise<FileAnswers> {
  const file = await UntouchedFile.open(modelFile, graph, pkg.config, threads);
  try {
    const logits: Float32Array[] = [];
    for (const { prompt, completion } of sequences) {
      const { rows } = await file.logits([...prompt, ...completion.slice(0, -1)], completion.length);
      logits.push(...rows.map((row) => row.slice()));
    }
    const self = await differenceToItself(file, sequences.at(-1) as Sequence, logits.slice(-comparedTokens));
    const { logprob, tie } = toleranceFor(graph);
    return { logits, tolerance: { logprob: Math.max(logprob, selfMargin * self), tie: Math.max(tie, self) } };
  } finally {
    await file.close();
  }
}

/** How much the file's answer to the same tokens changes when others follow. */
async function differenceToItself(
  file: UntouchedFile,
  { prompt, completion }: Sequence,
  logits: readonly Float32Array[],
): Promise<number> {
  const half = Math.max(1, Math.floor(completion.length / 2));
  const { rows } = await file.logits([...prompt, ...completion.slice(0, half - 1)], half);
  const logprob = (row: Float32Array, i: number): number => (row[completion[i] as number] as number) - logSumExp(row);
  return Math.max(...rows.map((row, i) => Math.abs(logprob(row, i) - logprob(logits[i] as Float32Array, i))));
}

/** Asks for all sequences at once, so that rows of different lengths share the steps. */
async function askDecoder(
  { threads }: ProofTask,
  pkg: Package,
  sequences: readonly Sequence[],
): Promise<TokenAnswer[]> {
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 1, 1);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  // The room for keys and values of a whole context is not needed.
  const longest = Math.max(...sequences.map(({ prompt, completion }) => prompt.length + completion.length));
  const config = { ...pkg.config, contextLength: Math.min(pkg.config.contextLength, longest + 1) };
  const settings = { threads, prefillChunk, prefixCacheBytes: 0, kvMemoryBytes };
  await using policy = await openPolicy({ pkg: { ...pkg, config }, version, ...settings });
  return (await Promise.all(sequences.map((sequence) => complete(policy, sequence)))).flat();
}

async function complete(policy: Policy, { prompt, completion }: Sequence): Promise<TokenAnswer[]> {
  const answers: TokenAnswer[] = [];
  const events = policy.complete({
    promptTokens: prompt,
    completions: [{ id: 'proof', seed: 1, forced: completion }],
    sampling: { ...plainSampling(completion.length), ignoreEos: true, topLogprobs: 1 },
  });
  for await (const event of events) {
    if (event.type !== 'tokens') continue;
    for (const [i, token] of event.tokens.entries()) {
      const [likeliest] = event.topLogprobs?.[i] ?? [];
      answers.push({ token, logprob: event.logprobs[i] as number, likeliest: likeliest?.token ?? -1 });
    }
  }
  return answers;
}

async function compareLearning(
  { packageDirectory, settings, threads }: ProofTask,
  sequences: readonly Sequence[],
  file: FileAnswers,
): Promise<Comparison | null> {
  if (settings === null) return null;
  const engine = await openEngine({
    packageDirectory,
    settings: { ...settings, engine: 'onnx', device: 'cpu', threads },
  });
  try {
    const rows = sequences.map(({ prompt, completion }) => ({ promptTokens: prompt, completionTokens: completion }));
    const sums = await engine.logProbabilities(rows, initialParameters(engine.targets, settings.rank, 1));
    const expected = sequences.map(({ completion }, s) =>
      completion.reduce((sum, token, i) => {
        const row = file.logits[s * comparedTokens + i] as Float32Array;
        return sum + (row[token] as number) - logSumExp(row);
      }, 0),
    );
    return compareSums(sums, expected, comparedTokens, file.tolerance);
  } finally {
    await engine.close();
  }
}
