/** A process that writes generations and scores as fast as it can and reports each acknowledgement, until it is killed. */

import { openReplayStore } from '../../../src/replay/index.js';
import { admission, completion, scoreWrite } from '../replay/records.js';

const [path = '', prefix = ''] = process.argv.slice(2);
const store = await openReplayStore({ path });

function acknowledge(kind: string, id: string): void {
  process.send?.([kind, id]);
}

/** A generation that runs whenever the process is killed. */
const unfinished = `${prefix}-unfinished`;
await store.admit([admission(unfinished)]);
acknowledge('admitted', unfinished);

async function writeEndlessly(lane: number): Promise<void> {
  for (let i = 0; ; i++) {
    const id = `${prefix}-${lane}-${i}`;
    await store.admit([admission(id)]);
    acknowledge('admitted', id);
    await store.write([scoreWrite(id, i, { idempotencyKey: `key-${id}` })]);
    acknowledge('scored', id);
    await store.complete([completion(id)]);
    acknowledge('finished', id);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, lane) => writeEndlessly(lane)));
