/**
 * Measures how much of the processor a process gets while it has something to compute, and decides whether it starves.
 *
 * The learner runs in the time that others leave. Beside a busy policy or another program its steps become slow, and no
 * other figure shows why. It is watched from outside: a process that gets no processor time cannot report that.
 */

/** The share is a mean over at least this much time with something to compute. */
const usualWindowMs = 20_000;
/** In cores. A step that has the processor to itself takes at least one core, with any number of threads. */
const starvedBelow = 0.25;
const recoveredFrom = 0.5;

/** What a reading has changed. */
export type ShareChange = 'starved' | 'recovered' | null;

export interface ProcessorShareOptions {
  /** Milliseconds since some fixed moment. Default: the clock of this process. */
  readonly now?: () => number;
  /** Default 20 000. */
  readonly windowMs?: number;
}

export class ProcessorShare {
  readonly #now: () => number;
  readonly #windowMs: number;
  /** Spans of time with something to compute, oldest first. */
  #spans: { readonly ms: number; readonly processorMs: number }[] = [];
  #last: { readonly atMs: number; readonly processorMs: number; readonly wants: boolean } | null = null;
  #idleSinceMs: number | null = null;
  #starves = false;

  constructor({ now = () => performance.now(), windowMs = usualWindowMs }: ProcessorShareOptions = {}) {
    this.#now = now;
    this.#windowMs = windowMs;
  }

  /** Cores that the process got while it had something to compute; null before it had for long enough. */
  get cores(): number | null {
    const ms = sumOf(this.#spans, 'ms');
    return ms < this.#windowMs ? null : sumOf(this.#spans, 'processorMs') / ms;
  }

  get starves(): boolean {
    return this.#starves;
  }

  /**
   * Takes a reading. The time since the last one counts if the process had something to compute then.
   * @param processorMs processor time that the process has used so far; null if that is not known now
   * @param wants whether it has something to compute from now on
   */
  see(processorMs: number | null, wants: boolean): ShareChange {
    const atMs = this.#now();
    this.#idleSinceMs = wants ? null : (this.#idleSinceMs ?? atMs);
    if (processorMs !== null) {
      if (this.#last?.wants === true) this.#add(atMs - this.#last.atMs, processorMs - this.#last.processorMs);
      this.#last = { atMs, processorMs, wants };
    }
    if (this.#starves && this.#idleSinceMs !== null && atMs - this.#idleSinceMs >= this.#windowMs) return this.forget();
    const { cores } = this;
    if (cores === null || this.#starves === cores < (this.#starves ? recoveredFrom : starvedBelow)) return null;
    this.#starves = !this.#starves;
    return this.#starves ? 'starved' : 'recovered';
  }

  /** Forgets all readings, because another process follows, or none. */
  forget(): ShareChange {
    const starved = this.#starves;
    this.#spans = [];
    this.#last = null;
    this.#idleSinceMs = null;
    this.#starves = false;
    return starved ? 'recovered' : null;
  }

  #add(ms: number, processorMs: number): void {
    this.#spans.push({ ms, processorMs });
    let total = sumOf(this.#spans, 'ms');
    for (
      let oldest = this.#spans[0];
      oldest !== undefined && total - oldest.ms >= this.#windowMs;
      oldest = this.#spans[0]
    ) {
      total -= oldest.ms;
      this.#spans.shift();
    }
  }
}

function sumOf(spans: readonly { readonly ms: number; readonly processorMs: number }[], name: 'ms' | 'processorMs') {
  return spans.reduce((sum, span) => sum + span[name], 0);
}
