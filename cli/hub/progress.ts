/** Shows a pull: the choice, a bar with speed and time left on a terminal, a plain line now and then elsewhere. */

import type { HubEvent, OnHubEvent } from '../../src/hub/index.js';
import { formatBytes, printJsonProgress, printJsonWarning, remark, rewriteLine } from '../output.js';

/** Milliseconds between two lines of progress: on a terminal, as JSON, and elsewhere. */
const everyMs = { terminal: 100, json: 1000, plain: 10_000 } as const;
/** The speed is the mean of about this time, milliseconds. */
const speedOverMs = 5000;
const barWidth = 24;

/** Returns what shows the events of one pull on standard error. */
export function createPullDisplay(json: boolean, now: () => number = Date.now): OnHubEvent {
  const kind = json ? 'json' : process.stderr.isTTY ? 'terminal' : 'plain';
  const speed = new Speed();
  let shownAt = now();
  const say = (...lines: string[]): void => {
    rewriteLine();
    remark(...lines);
  };
  const showProgress = ({ done, total }: Extract<HubEvent, { type: 'progress' }>): void => {
    const at = now();
    speed.add(at, done);
    if (at - shownAt < everyMs[kind] && done < total) return;
    shownAt = at;
    const bytesPerSecond = speed.bytesPerSecond;
    const secondsLeft = bytesPerSecond === undefined ? undefined : Math.ceil((total - done) / bytesPerSecond);
    if (json) printJsonProgress({ done, total, bytesPerSecond: Math.round(bytesPerSecond ?? 0), secondsLeft });
    else if (kind === 'plain') remark(progressLine(done, total, bytesPerSecond, secondsLeft));
    else if (done === total) rewriteLine();
    else
      rewriteLine(progressLine(done, total, bytesPerSecond, secondsLeft).slice(0, (process.stderr.columns ?? 100) - 1));
  };
  return (event) => {
    switch (event.type) {
      case 'chosen': {
        const { id, choice, bytes, license } = event;
        const { name } = choice.variant;
        if (json) {
          printJsonProgress({ chosen: name, reason: choice.reason, fits: choice.fits, bytes, license });
          return;
        }
        say(`${id}:${name}: ${choice.reason}`, `licence: ${license ?? 'the model card names none'}`);
        if (!choice.fits) say('warning: it may not fit in the memory; a smaller variant or another machine is safer');
        if (bytes > 0) say(`fetching ${formatBytes(bytes)} of ${formatBytes(choice.variant.bytes)}`);
        return;
      }
      case 'progress':
        return showProgress(event);
      case 'waiting': {
        const { why, waitMs } = event;
        if (json) printJsonWarning({ code: 'WAITING', message: why, waitMs });
        else say(`${why}${waitMs < 1000 ? '' : `; going on in ${Math.ceil(waitMs / 1000)} s`}`);
        return;
      }
      case 'warning':
        if (json) printJsonWarning({ code: 'HUB_UNREACHABLE', message: event.message });
        else say(`warning: ${event.message}`);
        return;
      default:
        event satisfies never;
    }
  };
}

/** One line, such as `████░░░░ 41 %  1.2 GiB of 2.9 GiB, 38 MiB/s, 45 s left`. */
export function progressLine(done: number, total: number, bytesPerSecond?: number, secondsLeft?: number): string {
  const share = total > 0 ? Math.max(0, Math.min(1, done / total)) : 1;
  const bar = '█'.repeat(Math.round(share * barWidth)).padEnd(barWidth, '░');
  const pace = bytesPerSecond === undefined ? '' : `, ${formatBytes(bytesPerSecond)}/s`;
  const left = secondsLeft === undefined || done >= total ? '' : `, ${formatLeft(secondsLeft)} left`;
  return `${bar} ${Math.floor(share * 100)} %  ${formatBytes(done)} of ${formatBytes(total)}${pace}${left}`;
}

function formatLeft(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** The mean speed of the last seconds. */
class Speed {
  #points: { at: number; done: number }[] = [];

  add(at: number, done: number): void {
    const last = this.#points.at(-1);
    // Bytes that were thrown away are no negative speed.
    if (last !== undefined && done < last.done) this.#points = [];
    if (last === undefined || at - last.at >= 50) this.#points.push({ at, done });
    while (this.#points.length > 2 && at - (this.#points[0]?.at ?? at) > speedOverMs) this.#points.shift();
  }

  get bytesPerSecond(): number | undefined {
    const [first] = this.#points;
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < 300 || last.done === first.done)
      return undefined;
    return ((last.done - first.done) * 1000) / (last.at - first.at);
  }
}
