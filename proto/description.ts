/**
 * The contract as the loader describes it, with a descriptor of every message: for reflection, which tells tools. What
 * serializes needs none of it (`contract.ts`), and making it takes several times as long.
 */

import { fromJSON } from '@grpc/proto-loader';
import { conversion } from './contract.js';
import { descriptor } from './generated/contract.js';

/** Every message, enum and service. */
export const description = fromJSON(descriptor, conversion);
