/** What onnxruntime computes from a file, for the sequences of a proof. */

import { HoneError } from '../errors.js';
import { readModel } from '../onnx/index.js';
import type { DecoderConfig } from '../package/index.js';
import { toleranceFor } from './arithmetic.js';
import { logSumExp, type TokenAnswer } from './compare.js';
import { comparedTokens, type Sequence } from './sequences.js';
import { UntouchedFile } from './untouched-file.js';

/** Times that a file's difference to itself is allowed, where a row of it depends on its neighbours. */
const selfMargin = 3;

export interface FileAnswers {
  /** By compared token of all sequences, [vocabularySize]. */
  readonly logits: readonly Float32Array[];
  readonly answers: readonly TokenAnswer[];
  /** The difference to this file that may be rounding, nats. */
  readonly tolerance: number;
}

/**
 * Runs the file, or returns why onnxruntime does not.
 * @throws HoneError `MODEL_INVALID` if the file cannot be read
 */
export async function askFile(
  path: string,
  config: DecoderConfig,
  sequences: readonly Sequence[],
  threads: number,
): Promise<FileAnswers | { readonly reason: string }> {
  const graph = await readModel(path);
  try {
    await using file = await UntouchedFile.open(path, graph, config, threads);
    const logits: Float32Array[] = [];
    for (const { prompt, completion } of sequences) {
      const rows = await file.logits([...prompt, ...completion.slice(0, -1)], completion.length);
      logits.push(...rows.map((row) => row.slice()));
    }
    const answers = sequences
      .flatMap(({ completion }) => completion)
      .map((token, i) => answerOf(token, logits[i] as Float32Array));
    const self = await differenceToItself(file, sequences.at(-1) as Sequence, answers.slice(-comparedTokens));
    return { logits, answers, tolerance: Math.max(toleranceFor(graph), selfMargin * self) };
  } catch (thrown) {
    const error = HoneError.from(thrown);
    if (error.code !== 'MODEL_INVALID') throw error;
    return { reason: error.message };
  }
}

function answerOf(token: number, logits: Float32Array): TokenAnswer {
  const logprob = (logits[token] as number) - logSumExp(logits);
  return { token, logprob, likeliest: logits.indexOf(logits.reduce((most, value) => Math.max(most, value))) };
}

/** How much the file's answer to the same tokens changes when others follow. */
async function differenceToItself(
  file: UntouchedFile,
  { prompt, completion }: Sequence,
  answers: readonly TokenAnswer[],
): Promise<number> {
  const half = Math.floor(completion.length / 2);
  const rows = await file.logits([...prompt, ...completion.slice(0, half - 1)], half);
  const differences = rows.map((row, i) => {
    const { token, logprob } = answers[i] as TokenAnswer;
    return Math.abs(answerOf(token, row).logprob - logprob);
  });
  return Math.max(...differences);
}
