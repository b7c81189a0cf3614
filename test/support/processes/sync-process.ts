/**
 * A process that writes scores while strace watches it: first `count` scores one after another, each acknowledged before
 * the next, then `count` scores at once. It forces a file of its own to the disk after each part, named after the part.
 */

import { closeSync, fsyncSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { openReplayStore } from '../../../src/replay/index.js';
import { admission, scoreWrite } from '../replay/records.js';

const [folder = '', count = '0'] = process.argv.slice(2);
const raters = Array.from({ length: Number(count) }, (_, i) => `rater ${i}`);

function mark(over: string): void {
  const file = openSync(join(folder, over), 'w');
  fsyncSync(file);
  closeSync(file);
}

const store = await openReplayStore({ path: join(folder, 'replay.sqlite') });
await store.admit([admission('one'), admission('other')]);
mark('opened');
for (const rater of raters) await store.write([scoreWrite('one', 1, { rater })]);
mark('alone');
await Promise.all(raters.map((rater) => store.write([scoreWrite('other', 1, { rater })])));
mark('together');
await store.close();
