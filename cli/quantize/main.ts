/** Runs `hone quantize`: writes the quantised package and reports how size, loss and logits changed. */

import { createProgress, type Progress } from '../../models/recipe/progress.js';
import type { QuantizeReport, QuantizeRequest } from '../../src/package/index.js';
import { Interrupted } from '../failure.js';
import { findPackage } from '../hub/package-source.js';
import { formatBytes, formatFixed, formatTable, print, printJson } from '../output.js';
import { defaultTexts, readTexts } from './texts.js';

/** The flags of the command. */
export interface QuantizeFlags {
  /** The folder to write. */
  readonly output: string;
  readonly bits: 8 | 4;
  /** Default: 128 at 8 bits, 32 at 4. */
  readonly blockSize?: QuantizeRequest['blockSize'];
  readonly head: boolean;
  /** File of texts to measure on. Default: held-out posts of the default policy. */
  readonly text?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export async function runQuantize(named: string, flags: QuantizeFlags): Promise<void> {
  const { name, texts } = flags.text === undefined ? defaultTexts() : readTexts(flags.text);
  const { directory: source } = await findPackage(named, flags.json === undefined ? {} : { json: flags.json });
  // This loads onnxruntime, so it comes after the texts, which may be wrong.
  const { quantizeAndCompare } = await import('../../src/package/index.js');
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort(new Interrupted());
  process.once('SIGINT', interrupt);
  const stages = new Map<string, Progress>();
  try {
    const report = await quantizeAndCompare({
      source,
      output: flags.output,
      bits: flags.bits,
      blockSize: flags.blockSize,
      head: flags.head,
      force: flags.force === true,
      texts,
      signal: interruption.signal,
      onProgress: (stage, done, total) => {
        const progress = stages.get(stage) ?? createProgress(stage, total);
        stages.set(stage, progress);
        progress.update(
          done,
          stage === 'quantising' ? `of ${formatBytes(total)} float32` : `${done} of ${total} texts`,
        );
        if (done === total) progress.finish('done');
      },
    });
    if (flags.json) printJson({ ...report, text: name });
    else show(report, name);
  } catch (thrown) {
    throw interruption.signal.aborted ? new Interrupted() : thrown;
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

function show({ source, output, bits, blockSize, head, weights, comparison }: QuantizeReport, text: string): void {
  const { loss, cosine, divergence, agreement, tokens } = comparison;
  const change = loss.after - loss.before;
  print(
    '',
    `  ${output.directory}`,
    `  ${weights} weights of ${bits} bits in blocks of ${blockSize}; head and embedding ${head ? 'of 8 bits' : 'in float32'}`,
    '',
    ...formatTable(
      ['', 'float32', `int${bits}`],
      [
        ['size', formatBytes(source.bytes), formatBytes(output.bytes)],
        [
          'loss, nats per token',
          formatFixed(loss.before, 4),
          `${formatFixed(loss.after, 4)} (${change < 0 ? '' : '+'}${formatFixed(change, 4)})`,
        ],
        ['cosine of the logits, mean', '', formatFixed(cosine.mean, 6)],
        ['cosine of the logits, worst', '', formatFixed(cosine.worst, 6)],
        ['KL to float32, nats per token', '', divergence.toExponential(1)],
        ['same most likely token', '', `${formatFixed(100 * agreement, 1)} %`],
      ],
    ).map((line) => `  ${line}`),
    '',
    `  Measured on ${text}: ${tokens} predictions, computed as the server computes them.`,
    '',
  );
}
