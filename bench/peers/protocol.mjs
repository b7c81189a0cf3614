// The protocol of every peer process: one message at a time over the IPC channel of the bench.
//
//   {type: 'open', ...}            -> {type: 'opened', about}
//   {type: 'run', requests}        -> {type: 'ran', rows}
//   any message that fails         -> {type: 'failed', message}
//
// A request is {promptTokens, maxTokens, startAtMs}, a row is {startedAtMs, tokens, atMs}. Times are milliseconds from the
// start of the run. Decoding is greedy, and the end-of-sequence token does not end a row.

/** Answers requests with an engine: `open(options)` resolves to {about, run(requests)}. */
export function servePeer(open) {
  let engine;
  const answer = async (message) => {
    if (message.type === 'open') {
      engine = await open(message);
      return { type: 'opened', about: engine.about };
    }
    return { type: 'ran', rows: await engine.run(message.requests) };
  };
  process.on('message', (message) => {
    answer(message).then(
      (reply) => process.send(reply),
      (error) => process.send({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}

/** Runs all requests concurrently. Each starts at its time. */
export function runWhenDue(requests, start) {
  const began = performance.now();
  const elapsed = () => performance.now() - began;
  return Promise.all(
    requests.map(async (request, index) => {
      if (request.startAtMs > 0) await new Promise((resolve) => setTimeout(resolve, request.startAtMs));
      const row = { startedAtMs: elapsed(), tokens: [], atMs: [] };
      const push = (token) => {
        row.tokens.push(token);
        row.atMs.push(elapsed());
      };
      await start(request, push, index);
      return row;
    }),
  );
}
