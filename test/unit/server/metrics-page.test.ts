/** docs/metrics.md lists exactly the metrics of the table. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { type MetricDefinition, metricTable } from '../../../server/metrics/table.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
const definitions = Object.entries<MetricDefinition>(metricTable);

it('the page on metrics has a row for each metric, with type, labels and meaning', () => {
  const rows = [...page.matchAll(/^\| `(hone_\w+)` \| (\w+) \| (.*) \| (.+) \|$/gm)];
  const listed = rows.map(([, name, type, labels, help]) => [name, type, labels?.trim(), help]);
  const expected = definitions.map(([name, { type, labels = [], help }]) => {
    return [name, type, labels.map((label) => `\`${label}\``).join(', '), help];
  });
  expect([...listed].sort()).toEqual([...expected].sort());
});

it('the alerts and texts of the page on metrics name metrics that exist', () => {
  const known = new Set(definitions.map(([name]) => name));
  const named = page.match(/\bhone_\w+/g) ?? [];
  expect(named.length).toBeGreaterThan(definitions.length);
  for (const name of named) expect(known, name).toContain(name.replace(/_bucket$/, ''));
});

it('the names of metrics have units: counters end in _total, times in _seconds, sizes in _bytes', () => {
  for (const [name, { type, help, buckets }] of definitions) {
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (/\b(time|pause|age|waiting)\b/i.test(help) && type !== 'counter')
      expect(name).toMatch(/_(seconds|tokens|requests)$/);
    if (/^(memory|size)/i.test(help)) expect(name).toMatch(/_bytes$/);
    expect(buckets !== undefined, name).toBe(type === 'histogram');
  }
});
