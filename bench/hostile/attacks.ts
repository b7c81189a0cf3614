/** All attacks, by name. */

import type { Attack } from './attack.js';
import { connectionAttacks } from './connection-attacks.js';
import { requestAttacks } from './request-attacks.js';
import { streamAttacks } from './stream-attacks.js';

export const attacks: readonly Attack[] = [...requestAttacks, ...streamAttacks, ...connectionAttacks];

/** @throws Error if there is no attack of this name */
export function attackNamed(name: string): Attack {
  const found = attacks.find((attack) => attack.name === name);
  if (found === undefined)
    throw new Error(`there is no attack "${name}"; there are ${attacks.map((one) => one.name).join(', ')}`);
  return found;
}
