/** Opens the server's log on standard error, as lines of JSON for programs or as lines for a person. */

import pino, { type Logger } from 'pino';
import { HumanLog } from './human-log.js';

export const logFormats = ['json', 'text'] as const;

export type LogFormat = (typeof logFormats)[number];

/** Opens the log. When a call that logs returns, its line has left the process. */
export function openLog({ level, format }: { readonly level: string; readonly format: LogFormat }): Logger {
  const out = pino.destination({ dest: 2, sync: true });
  const options = { level, base: { pid: process.pid } };
  if (format === 'json') return pino(options, out);
  const human = new HumanLog();
  const write = (json: string): void => {
    const line = human.line(json);
    if (line !== null) out.write(line);
  };
  return pino(options, { write });
}
