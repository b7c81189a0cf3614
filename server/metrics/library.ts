/**
 * Keeps the metrics of the table, and the process's own, in a registry of prom-client. `registry.ts` loads this file.
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { knownLabels, type LabelsOf, type MetricDefinition, metricTable, type NameOf } from './table.js';

export class LibraryMetrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  constructor() {
    for (const [name, definition] of Object.entries<MetricDefinition>(metricTable)) this.#create(name, definition);
    for (const [name, combinations] of Object.entries(knownLabels)) {
      for (const labels of combinations) this.#counters.get(name)?.inc({ ...labels }, 0);
    }
    collectDefaultMetrics({ register: this.#registry });
  }

  /** All metrics in Prometheus's text format. */
  async text(): Promise<string> {
    // prom-client writes `Nan`, the format requires `NaN`.
    return (await this.#registry.metrics()).replaceAll(/ Nan$/gm, ' NaN');
  }

  /** @param value not negative */
  add<Name extends NameOf<'counter'>>(name: Name, value: number, ...[labels]: LabelsOf<Name>): void {
    this.#counters.get(name)?.inc({ ...labels }, value);
  }

  observe<Name extends NameOf<'histogram'>>(name: Name, value: number, ...[labels]: LabelsOf<Name>): void {
    this.#histograms.get(name)?.observe({ ...labels }, value);
  }

  /** `null` removes the sample. */
  set<Name extends NameOf<'gauge'>>(name: Name, value: number | null, ...[labels]: LabelsOf<Name>): void {
    const gauge = this.#gauges.get(name);
    if (value === null) gauge?.remove({ ...labels });
    else gauge?.set({ ...labels }, value);
  }

  /** Removes all samples of a gauge, so that only the current ones are set again. */
  clear(name: NameOf<'gauge'>): void {
    this.#gauges.get(name)?.reset();
  }

  #create(name: string, { type, labels = [], help, buckets }: MetricDefinition): void {
    const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
    switch (type) {
      case 'counter':
        this.#counters.set(name, new Counter(options));
        return;
      case 'gauge':
        this.#gauges.set(name, new Gauge(options));
        return;
      case 'histogram':
        this.#histograms.set(name, new Histogram({ ...options, buckets: [...(buckets ?? [])] }));
        return;
    }
  }
}
