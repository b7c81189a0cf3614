/** A strict parser of Prometheus's text format. It also throws for errors that a scraper might tolerate. */

/** A sample of a page. */
interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric of a page with all its samples. */
interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

export class Page {
  readonly families = new Map<string, Family>();

  /** @throws Error that names the wrong line */
  constructor(text: string) {
    if (!text.endsWith('\n')) throw new Error('the page does not end with a line feed');
    let help: { name: string; text: string } | undefined;
    let family: Family | undefined;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/.exec(line) ?? [];
      if (keyword === 'HELP') {
        help = { name, text: rest };
      } else if (keyword === 'TYPE') {
        if (help?.name !== name) throw new Error(`the help does not come right before: ${line}`);
        if (this.families.has(name)) throw new Error(`the metric occurs twice: ${line}`);
        if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw new Error(`unknown type: ${line}`);
        family = { name, type: rest, help: help.text, samples: [] };
        this.families.set(name, family);
      } else {
        const sample = parseSample(line);
        const suffix = family === undefined ? undefined : sample.name.slice(family.name.length);
        const suffixes = family?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
        if (!family || !sample.name.startsWith(family.name) || !suffixes.includes(suffix ?? '-')) {
          throw new Error(`the sample is outside its metric: ${line}`);
        }
        const twin = family.samples.find((one) => key(one) === key(sample));
        if (twin !== undefined) throw new Error(`the sample occurs twice: ${line}`);
        family.samples.push(sample);
      }
    }
  }

  /** Returns the value of the sample with this name and these labels, or `undefined` if there is none. */
  get(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    for (const { samples } of this.families.values()) {
      const found = samples.find((sample) => key(sample) === key({ name, labels }));
      if (found !== undefined) return found.value;
    }
    return undefined;
  }

  /** Returns all samples of counters and histograms, which may only grow. */
  monotonic(): ReadonlyMap<string, number> {
    const growing = [...this.families.values()].filter(({ type }) => type === 'counter' || type === 'histogram');
    return new Map(growing.flatMap(({ samples }) => samples.map((sample) => [key(sample), sample.value] as const)));
  }

  /** Returns the histograms, one for each combination of labels: cumulative counts by upper bound, and the totals. */
  histograms(): { name: string; bounds: number[]; counts: number[]; sum: number; count: number }[] {
    return [...this.families.values()].flatMap(({ name, type, samples }) => {
      if (type !== 'histogram') return [];
      const counts = samples.filter((sample) => sample.name === `${name}_count`);
      return counts.map(({ labels, value }) => {
        const buckets = samples.filter(
          (sample) =>
            sample.name === `${name}_bucket` && key({ name, labels: withoutBound(sample) }) === key({ name, labels }),
        );
        return {
          name: key({ name, labels }),
          bounds: buckets.map((sample) => Number((sample.labels.le ?? '').replace('+Inf', 'Infinity'))),
          counts: buckets.map((sample) => sample.value),
          sum: this.get(`${name}_sum`, labels) ?? Number.NaN,
          count: value,
        };
      });
    });
  }
}

function withoutBound({ labels: { le: _, ...labels } }: Sample): Record<string, string> {
  return labels;
}

function key({ name, labels }: Omit<Sample, 'value'>): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${name}{${pairs.map(([label, value]) => `${label}=${JSON.stringify(value)}`).join()}}`;
}

function parseSample(line: string): Sample {
  const [, name = '', inside, text = ''] =
    /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (-?[0-9][0-9.eE+-]*|\+Inf|-Inf|NaN)$/.exec(line) ?? [];
  if (name === '') throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = inside ?? '';
  while (rest !== '') {
    const [whole, label = '', value = ''] = /^([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest) ?? [];
    if (whole === undefined || label in labels) throw new Error(`labels are wrong: ${line}`);
    labels[label] = value;
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: Number(text.replace('Inf', 'Infinity')) };
}
