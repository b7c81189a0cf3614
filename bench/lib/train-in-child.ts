/** Starts the training process and brings back its figures. */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TrainingFigures, TrainingTask } from './training-child.js';

type Reply = { readonly figures: TrainingFigures } | { readonly failure: string };

/** @throws Error if the process fails or ends without an answer */
export function trainInChild(task: TrainingTask): Promise<TrainingFigures> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('./training-child.js', import.meta.url)), {
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the training process ended with code ${code}`)));
    child.once('message', (reply: Reply) => {
      if ('figures' in reply) resolve(reply.figures);
      else reject(new Error(reply.failure));
    });
    child.send(task);
  });
}
