/** What is known of a value in the graph without running it: whether it belongs to tokens, and its shape. */

import type { Dim, Target } from './dims.js';

export type Value =
  /** Each element belongs to one token. The dimensions that contain B and S run over the tokens. */
  | {
      readonly kind: 'tokens';
      readonly dims: readonly Dim[];
      /** Whether the value depends on the token ids; otherwise it depends on positions only. */
      readonly dependsOnIds: boolean;
    }
  /** The value is the same for every input. `dims` is undefined if the shape is not known without running the graph. */
  | { readonly kind: 'constant'; readonly dims: readonly number[] | undefined }
  /** Entries of a shape. */
  | { readonly kind: 'sizes'; readonly sizes: readonly Target[]; readonly scalar: boolean }
  /** The value is computed from the attention mask, the cache or sizes, and is not followed further. */
  | { readonly kind: 'derived' }
  /** The value is a cache of keys or values. */
  | { readonly kind: 'cache' };

export type TokenValue = Extract<Value, { kind: 'tokens' }>;
