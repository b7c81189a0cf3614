/** Shows the progress of long work: one line that is updated on a terminal, or a plain line now and then elsewhere. */

import { printable } from '../../src/printable.js';

export interface Progress {
  /** Shows that `done` of the total is done, with a note. */
  update(done: number, note: string): void;
  /** Ends the line with a note and the duration. */
  finish(note: string): void;
}

const barWidth = 24;
const plainEveryMs = 15_000;

/** Starts a line of progress on `stream`: standard error by default, so that results can be piped. */
export function createProgress(title: string, total: number, stream: NodeJS.WriteStream = process.stderr): Progress {
  const startedAt = Date.now();
  let lastPlainAt = startedAt;
  const line = (done: number, note: string): string => {
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const bar = '█'.repeat(Math.round(share * barWidth)).padEnd(barWidth, '░');
    const elapsedMs = Date.now() - startedAt;
    const left = share > 0.01 && share < 1 ? `, ${formatDuration((elapsedMs * (1 - share)) / share)} left` : '';
    return printable(`${title} ${bar} ${Math.round(share * 100)} % ${note}${left}`);
  };
  return {
    update(done, note) {
      if (stream.isTTY) {
        stream.write(`\r\x1b[2K${line(done, note).slice(0, (stream.columns ?? 100) - 1)}`);
      } else if (Date.now() - lastPlainAt >= plainEveryMs) {
        lastPlainAt = Date.now();
        stream.write(`${line(done, note)}\n`);
      }
    },
    finish(note) {
      stream.write(
        `${stream.isTTY ? '\r\x1b[2K' : ''}${printable(`${title}: ${note}`)} (${formatDuration(Date.now() - startedAt)})\n`,
      );
    },
  };
}

/** Formats as `45 s` or `3 min 05 s`. */
function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}
