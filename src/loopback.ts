/** Which addresses only this machine can reach. */

import { isIP } from 'node:net';

/** Whether a host is this machine itself: `localhost`, or an address of its loopback interface. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
