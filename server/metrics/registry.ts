/**
 * The metrics, by the names of the table. The library that keeps them (`library.ts`) is large and is loaded when the
 * server takes calls; values that come before wait for it, in order.
 */

import type { LibraryMetrics } from './library.js';
import type { LabelsOf, NameOf } from './table.js';

/** Content type of Prometheus's text format. */
export const contentType = 'text/plain; version=0.0.4; charset=utf-8';

export class Metrics {
  #library: LibraryMetrics | undefined;
  #loading: Promise<LibraryMetrics> | undefined;
  readonly #waiting: ((library: LibraryMetrics) => void)[] = [];

  /** Loads the library. Idempotent. {@link Metrics.text} calls it too. */
  load(): Promise<LibraryMetrics> {
    this.#loading ??= import('./library.js').then(({ LibraryMetrics }) => {
      const library = new LibraryMetrics();
      for (const use of this.#waiting.splice(0)) use(library);
      this.#library = library;
      return library;
    });
    return this.#loading;
  }

  /** All metrics in Prometheus's text format. */
  async text(): Promise<string> {
    return (await this.load()).text();
  }

  /** @param value not negative */
  add<Name extends NameOf<'counter'>>(name: Name, value: number, ...labels: LabelsOf<Name>): void {
    if (this.#library !== undefined) this.#library.add(name, value, ...labels);
    else this.#waiting.push((library) => library.add(name, value, ...labels));
  }

  observe<Name extends NameOf<'histogram'>>(name: Name, value: number, ...labels: LabelsOf<Name>): void {
    if (this.#library !== undefined) this.#library.observe(name, value, ...labels);
    else this.#waiting.push((library) => library.observe(name, value, ...labels));
  }

  /** `null` removes the sample. */
  set<Name extends NameOf<'gauge'>>(name: Name, value: number | null, ...labels: LabelsOf<Name>): void {
    if (this.#library !== undefined) this.#library.set(name, value, ...labels);
    else this.#waiting.push((library) => library.set(name, value, ...labels));
  }

  /** Removes all samples of a gauge, so that only the current ones are set again. */
  clear(name: NameOf<'gauge'>): void {
    if (this.#library !== undefined) this.#library.clear(name);
    else this.#waiting.push((library) => library.clear(name));
  }
}
