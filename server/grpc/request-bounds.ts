/**
 * How many entries each list and map of a request may hold.
 *
 * gRPC decodes a message on the event loop before any handler sees it, so these bounds hold in front of the decoder. They
 * are wider than what the agent takes: for a request that is a little too large, the agent's own check names the field.
 */

/** Most entries of a list or a map of a request, by message and field. A list that is not here is refused. */
export const maxEntries: Readonly<Record<string, number>> = {
  'hone.v1.GenerateRequest.messages': 4096,
  'hone.v1.GenerateRequest.metadata': 64,
  'hone.v1.StreamGenerateRequest.messages': 4096,
  'hone.v1.StreamGenerateRequest.metadata': 64,
  'hone.v1.SamplingParameters.stop': 64,
  'hone.v1.SamplingParameters.logit_bias': 4096,
  'hone.v1.SubmitFeedbackRequest.items': 1024,
  'hone.v1.StreamFeedbackRequest.items': 1024,
  'hone.v1.WatchEventsRequest.types': 64,
};

/** Most fields of a message that its type does not have, so that callers of a later contract are understood. */
export const maxUnknownFields = 64;
