/**
 * The contract with a descriptor of every message, for reflection. Calls do not need it (`contract.ts`), and it takes
 * several times as long to make.
 */

import { fromJSON } from '@grpc/proto-loader';
import { conversion } from './contract.js';
import { descriptor } from './generated/contract.js';

/** Every message, enum and service. */
export const description = fromJSON(descriptor, conversion);
