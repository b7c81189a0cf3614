/** `hone quantize`: writes the quantised package and says what was lost and won. */

import { createProgress, type Progress } from '../../models/recipe/progress.js';
import { Interrupted } from '../cli/failure.js';
import { formatBytes, formatFixed, formatTable, print, printJson } from '../cli/output.js';
import type { QuantizeFlags } from '../cli/quantize.js';
import { defaultTexts, type MeasuredText, readTexts } from './texts.js';

/** What `server/quantize.js` gives back. */
interface QuantizeReport {
  readonly source: { readonly directory: string; readonly digest: string; readonly bytes: number };
  readonly output: { readonly directory: string; readonly digest: string; readonly bytes: number };
  readonly bits: number;
  readonly blockSize: number;
  readonly head: boolean;
  readonly weights: number;
  readonly comparison: {
    readonly tokens: number;
    readonly cosine: { readonly mean: number; readonly worst: number };
    readonly loss: { readonly before: number; readonly after: number };
    readonly divergence: number;
    readonly agreement: number;
  };
}

interface QuantizeModule {
  quantize(request: {
    readonly source: string;
    readonly output: string;
    readonly bits: number;
    readonly blockSize: number | undefined;
    readonly head: boolean;
    readonly force: boolean;
    readonly texts: readonly MeasuredText[];
    readonly signal: AbortSignal;
    readonly onProgress: (stage: 'quantising' | 'measuring', done: number, total: number) => void;
  }): Promise<QuantizeReport>;
}

/** Runs the command. */
export async function runQuantize(source: string, flags: QuantizeFlags): Promise<void> {
  const { name, texts } = flags.text === undefined ? defaultTexts() : readTexts(flags.text);
  // By address: only here is the runtime loaded.
  const { quantize } = (await import(new URL('../../server/quantize.js', import.meta.url).href)) as QuantizeModule;
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort(new Interrupted());
  process.once('SIGINT', interrupt);
  const stages = new Map<string, Progress>();
  try {
    const report = await quantize({
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
    `  Measured on ${text}: ${tokens} predictions, computed as the server does.`,
    '',
  );
}
