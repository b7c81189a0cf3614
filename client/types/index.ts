/** The types of the client's arguments and results. */

export type * from './events.js';
export type * from './feedback.js';
export type * from './generation.js';
export type * from './options.js';
export type * from './or-unknown.js';
export type * from './status.js';
export type * from './transfer.js';
export type * from './versions.js';
