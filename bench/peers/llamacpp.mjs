// The peer node-llama-cpp, with its own batching of sequences in one context, on a GGUF file of the same weights.

import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { runWhenDue, servePeer } from './protocol.mjs';

servePeer(async ({ file, threads, sequences, contextSize, flashAttention }) => {
  // Use the prebuilt binary for the CPU, so that nothing is downloaded or compiled.
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: threads,
    logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({
    sequences,
    contextSize,
    batchSize: 512,
    flashAttention,
    threads: { ideal: threads, min: threads },
  });
  const free = Array.from({ length: sequences }, () => context.getSequence());

  return {
    about: `llama.cpp ${llama.llamaCppRelease.release}, ${flashAttention ? '' : 'no '}flash attention, ${threads} threads`,
    run: (requests) =>
      runWhenDue(requests, async ({ promptTokens, maxTokens }, push) => {
        const sequence = free.pop();
        if (sequence === undefined) throw new Error(`there are more than ${sequences} requests at once`);
        await sequence.clearHistory();
        let left = maxTokens;
        for await (const token of sequence.evaluate(promptTokens, { temperature: 0, yieldEogToken: true })) {
          push(token);
          left -= 1;
          if (left === 0) break;
        }
        free.push(sequence);
      }),
  };
});
