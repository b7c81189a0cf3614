/**
 * Collects garbage at the pace at which requests arrive.
 *
 * A message lies outside of the heap that the engine watches, and so do the parts that it arrived in. A caller that sends
 * large messages one after another can therefore make much memory unreachable before the engine collects any of it by
 * itself. A collection of the young generation takes about a millisecond, a whole one of an idle server's heap some ten.
 */

/** Bytes of requests after which the young generation, and the whole heap, are collected. */
export const garbageBytes = { young: 4 * 1024 * 1024, whole: 16 * 1024 * 1024 } as const;

/** `gc` of Node, which `--expose-gc` gives. */
type Collect = (options: { readonly type: 'minor' | 'major'; readonly execution: 'sync' | 'async' }) => unknown;

export class GarbagePace {
  readonly #collect: Collect | undefined;
  #sinceYoung = 0;
  #sinceWhole = 0;
  #isPlanned = false;

  /** @param collect default: what Node offers; a process without it leaves all to the engine */
  constructor(collect = (globalThis as { readonly gc?: Collect }).gc) {
    this.#collect = collect;
  }

  /** Called with the length of each part of a request. */
  arrived(bytes: number): void {
    this.#sinceYoung += bytes;
    this.#sinceWhole += bytes;
    if (this.#sinceYoung < garbageBytes.young || this.#isPlanned || this.#collect === undefined) return;
    this.#isPlanned = true;
    // The parts that arrived in this turn are still in use.
    setImmediate(() => this.#run(this.#collect as Collect));
  }

  #run(collect: Collect): void {
    const isWhole = this.#sinceWhole >= garbageBytes.whole;
    this.#isPlanned = false;
    this.#sinceYoung = 0;
    if (isWhole) this.#sinceWhole = 0;
    collect({ type: isWhole ? 'major' : 'minor', execution: 'sync' });
  }
}
