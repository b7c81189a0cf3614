/** The tasks and the contestants of the decode bench, by the names of their figures. */

/** Numbers of concurrent requests, with a context around 64 and one up to 512. */
export const decodeTasks = {
  b1: 1,
  b8: 8,
  b16: 16,
  b1_ctx512: 1,
  b8_ctx512: 8,
  b16_ctx512: 16,
} as const;

export type DecodeTask = keyof typeof decodeTasks;

/** Eight requests that arrive over a second. */
export const arrivalsTask = 'arrivals8';

/** `hone` is Hone's policy without an adapter, `hone_lora` has one of rank 8, `hone_int8` has quantised weights. */
export const contestantNames = [
  'hone',
  'hone_lora',
  'hone_int8',
  'transformers',
  'llamacpp_f32',
  'llamacpp_q8_0',
] as const;

export type ContestantName = (typeof contestantNames)[number];

const compared = ['b1', 'b8', 'b1_ctx512', 'b8_ctx512', arrivalsTask];

/** The tasks in which each contestant takes part; undefined for all. */
export const tasksOf: Readonly<Record<ContestantName, readonly string[] | undefined>> = {
  hone: undefined,
  hone_lora: ['b1', 'b8', 'b1_ctx512'],
  hone_int8: ['b1', 'b8', 'b1_ctx512'],
  transformers: compared,
  llamacpp_f32: compared,
  llamacpp_q8_0: ['b1', 'b8', 'b1_ctx512'],
};
