/** What running a request needs of the agent. */

import type { Package } from '../../package/index.js';
import type { Policy } from '../../policy/index.js';
import type { GenerationOrigin, ReplayStore } from '../../replay/index.js';
import type { StoreOutage } from '../store-outage.js';
import type { CheckedRequest } from './check-request.js';

export interface GenerationContext {
  readonly pkg: Package;
  readonly policy: Policy;
  readonly replay: ReplayStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Hears which writes the store refuses and which it takes. */
  readonly storeOutage: StoreOutage;
  /** Called when generations are on disk and may take scores, while they still run. */
  readonly onAdmitted: (ids: readonly string[]) => void;
  /** Called when the ends of these generations are on disk, or could not be written. */
  readonly onRecorded: (ids: readonly string[]) => void;
}

/** A request to run. */
export interface GenerationRequest extends CheckedRequest {
  /** The origin that its generations are stored with. Default `sampled`. */
  readonly origin?: GenerationOrigin;
}
