/**
 * The log as lines for a person at a terminal. It has a line for each event that matters - a version goes live or is
 * rejected, something fails, the server stops - and none for the rest. As in the log for programs, no line contains
 * text of a prompt or a completion.
 */

import { printable } from '../src/printable.js';

/** The fields of a log record that become part of a line. */
interface LogRecord {
  readonly level: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly msg?: string;
  readonly version?: number;
  readonly detail?: string;
  readonly numbers?: Readonly<Record<string, number>>;
  readonly why?: string;
  readonly code?: string;
  readonly durationMs?: number;
  readonly err?: { readonly message?: string; readonly code?: string };
}

/** Numbers of pino's levels. */
const levels = { debug: 20, warn: 40, error: 50 } as const;
/** Longest reason in a line, in characters. */
const longest = 200;
/** Most versions whose figures are kept until they go live. */
const versionsRemembered = 64;

/** Turns log records into lines. */
export class HumanLog {
  readonly #made = new Map<number, string>();

  /** The line for a record of pino; `null` if a person does not need it. */
  line(json: string): string | null {
    const record = JSON.parse(json) as LogRecord;
    const words = this.#describe(record);
    return words === null ? null : `${clock(record.time)}  ${printable(words)}\n`;
  }

  #describe(record: LogRecord): string | null {
    const { msg = '', version, detail = '', numbers = {} } = record;
    const why = inFewWords(detail);
    const because = why === '' ? '' : `: ${why}`;
    switch (msg) {
      case 'version_created':
        if (version !== undefined) this.#remember(version, describeMaking(numbers));
        return null;
      case 'version_promoted':
        return `version ${version} is live${this.#making(version)}${why === '' ? '' : ` (${why})`}`;
      case 'version_rolled_back':
        return `rolled back: version ${version} is live${because.replace(':', ',')}`;
      case 'version_rejected':
        return `version ${version} was rejected${because}`;
      case 'version_failed':
        return `${version === undefined ? '' : `version ${version}: `}${why}`;
      case 'canary_started':
        return `version ${version} is on trial: it answers ${percent(numbers.share)} of the requests${why === '' ? '' : ` (${why})`}`;
      case 'canary_ended':
        return `the trial of version ${version} has ended${because}`;
      case 'shadow_started':
        return `version ${version} answers ${percent(numbers.share)} of the requests in the background; no caller sees it`;
      case 'shadow_ended':
        return `version ${version} no longer answers in the background${because}`;
      case 'mode_changed':
        return `the mode of new versions is ${why}`;
      case 'worker_restarted':
        return `crashed and restarts: ${why}`;
      case 'gate_starved':
        return `version ${version} waits for its verdict: ${why}`;
      case 'starvation_ended':
        return why;
      case 'learner_setback':
      case 'learner_starved':
      case 'record_set_aside':
        return `learner: ${why}`;
      case 'store_failed':
        return detail.startsWith('STORE_BUSY')
          ? `the store cannot write${because}; requests are refused until the other program is done`
          : `the store cannot write${because}; requests are served but not stored`;
      case 'replay_log_held':
        return `the log of the store grows${because}`;
      case 'eviction_failed':
        return `the store could not remove old generations${because}; it tries again`;
      case 'state_rebuilt':
        return `data directory${because}`;
      case 'rater_failed':
        return `a rater failed: ${raterAndHow(detail)} (hone status shows more)`;
      case 'scores_ignored':
        return why;
      case 'first request':
        return `the first request was answered${record.durationMs === undefined ? '' : `, in ${seconds(record.durationMs)}`}`;
      case 'stopping':
        return `stopping (${record.why}): no new requests, running ones may finish`;
      case 'stopped':
        return 'stopped';
      default:
        return describeOther(record);
    }
  }

  #remember(version: number, making: string): void {
    this.#made.set(version, making);
    const oldest = this.#made.size > versionsRemembered ? this.#made.keys().next().value : undefined;
    if (oldest !== undefined) this.#made.delete(oldest);
  }

  #making(version: number | undefined): string {
    const making = version === undefined ? undefined : this.#made.get(version);
    return making === undefined || making === '' ? '' : `: ${making}`;
  }
}

/** The learner's figures of a version, in a few words. */
function describeMaking({ mean_reward: reward, kl, scores_seen: scores }: Readonly<Record<string, number>>): string {
  return [
    scores === undefined ? '' : `${scores} scores so far`,
    reward === undefined ? '' : `mean reward ${reward.toFixed(2)} in its round`,
    kl === undefined ? '' : `KL ${Math.max(0, kl).toFixed(2)}`,
  ]
    .filter((part) => part !== '')
    .join(', ');
}

/** The line of a warning or an error. Other records have a line only at the levels `debug` and `trace`. */
function describeOther(record: LogRecord): string | null {
  const { level, time: _, msg = '', err, code = err?.code, ...rest } = record;
  if (level >= levels.warn) {
    const what = [msg, inFewWords(err?.message ?? '')].filter((part) => part !== '').join(': ');
    return `${level >= levels.error ? 'error' : 'warning'}: ${what}${code === undefined ? '' : ` (${code})`}`;
  }
  return level <= levels.debug
    ? `${msg} ${JSON.stringify({ ...rest, ...(code === undefined ? {} : { code }) })}`
    : null;
}

/**
 * `function:length: threw` of `function:length: threw: ...`: the user's own message may contain text of completions.
 */
function raterAndHow(detail: string): string {
  return detail.split(': ').slice(0, 2).join(': ');
}

function inFewWords(text: string): string {
  const [line = ''] = text.split('\n');
  return line.length <= longest ? line : `${line.slice(0, longest)}...`;
}

function percent(share = 0): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The time of day in UTC, as in everything that the commands print. */
function clock(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)}Z`;
}
