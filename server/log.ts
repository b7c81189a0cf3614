/** Opens the server's log on standard error, as lines of JSON for programs or as lines for a person. */

import pino, { type Logger } from 'pino';
import { printableJsonText } from '../src/printable.js';
import { HumanLog } from './human-log.js';

export const logFormats = ['json', 'text'] as const;

export type LogFormat = (typeof logFormats)[number];

/**
 * Opens the log. When a call that logs returns, its line has left the process.
 * @param out where the lines go; default: standard error
 */
export function openLog(
  { level, format }: { readonly level: string; readonly format: LogFormat },
  out: { write(line: string): unknown } = pino.destination({ dest: 2, sync: true }),
): Logger {
  const options = { level, base: { pid: process.pid } };
  if (format === 'json') {
    // JSON leaves the control characters beyond ASCII as they are, and the log may be read at a terminal.
    return pino(options, { write: (json: string) => void out.write(printableJsonText(json)) });
  }
  const human = new HumanLog();
  const write = (json: string): void => {
    const line = human.line(json);
    if (line !== null) out.write(line);
  };
  return pino(options, { write });
}
