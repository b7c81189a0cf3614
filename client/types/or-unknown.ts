/** A name out of a fixed list, or `unknown`: the server sent a value that this release of the client does not know. */
export type OrUnknown<Name extends string> = Name | 'unknown';
