/** The server's log, on standard error: lines of JSON for programs, or lines for a person. */

import pino, { type Logger } from 'pino';
import { HumanLog } from './human-log.js';

export const logFormats = ['json', 'text'] as const;

export type LogFormat = (typeof logFormats)[number];

/** Opens the log; each line has left the process when the call that wrote it returns. */
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
