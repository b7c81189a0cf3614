// The peer @huggingface/transformers, with its own text-generation pipeline on the package's folder.
//
// Requests of equal length that come together run as one batch, as a user would run them. Other requests run as separate
// calls, because it cannot add requests to a running batch.

import { env, pipeline } from '@huggingface/transformers';
import { runWhenDue, servePeer } from './protocol.mjs';

servePeer(async ({ directory, threads }) => {
  env.allowRemoteModels = false;
  env.localModelPath = '';
  const generator = await pipeline('text-generation', directory, {
    dtype: 'fp32',
    device: 'cpu',
    session_options: { intraOpNumThreads: threads },
  });
  const { model } = generator;

  /** Generates for rows of one length. `onStep` gets the new tokens of each step. */
  const generate = (prompts, maxTokens, onStep) => {
    const [rows, length] = [prompts.length, prompts[0].length];
    let isPrompt = true;
    const streamer = {
      put(tokens) {
        if (!isPrompt) onStep(tokens.map((row) => Number(row[row.length - 1])));
        isPrompt = false;
      },
      end() {},
    };
    return model.generate({
      inputs: tensor(prompts.flat(), [rows, length]),
      attention_mask: tensor(new Array(rows * length).fill(1), [rows, length]),
      max_new_tokens: maxTokens,
      do_sample: false,
      eos_token_id: null,
      streamer,
    });
  };
  const { Tensor } = await import('@huggingface/transformers');
  const tensor = (values, dims) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims);

  const runBatch = async (requests) => {
    const began = performance.now();
    const rows = requests.map(() => ({ startedAtMs: 0, tokens: [], atMs: [] }));
    await generate(
      requests.map(({ promptTokens }) => promptTokens),
      requests[0].maxTokens,
      (tokens) => {
        const atMs = performance.now() - began;
        for (const [i, row] of rows.entries()) {
          row.tokens.push(tokens[i]);
          row.atMs.push(atMs);
        }
      },
    );
    return rows;
  };
  const runAlone = (requests) =>
    runWhenDue(requests, ({ promptTokens, maxTokens }, push) =>
      generate([promptTokens], maxTokens, ([token]) => push(token)),
    );

  return {
    about: `transformers.js ${env.version}, dtype fp32, device cpu, ${threads} threads`,
    run: (requests) => {
      const [first] = requests;
      const alike = requests.every(
        ({ promptTokens, maxTokens, startAtMs }) =>
          promptTokens.length === first.promptTokens.length && maxTokens === first.maxTokens && startAtMs === 0,
      );
      return alike ? runBatch(requests) : runAlone(requests);
    },
  };
});
