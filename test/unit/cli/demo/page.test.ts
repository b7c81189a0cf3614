import { describe, expect, it } from 'vitest';
import { pageOf } from '../../../../cli/demo/page.js';
import { resultTable } from '../../../../cli/demo/report.js';
import { contrast, wordColors } from '../../../support/contrast.js';
import { course, middling, result, version } from '../../../support/demo-results.js';

const learned = result(course(), middling(0), middling(1, 0.1));
const first = version(0, { state: 'live' });
const nothing = result(course({ versions: [first], live: first }), middling(0));

describe('the page of the demo', () => {
  it('fits a phone: it sets its width to that of the screen, and has charts drawn for that width', () => {
    const page = pageOf(learned);
    expect(page).toMatch(/<meta name="viewport" content="width=device-width, initial-scale=1">/);
    const widths = [...page.matchAll(/<svg [^>]*\bwidth="(\d+)"/g)].map(([, width]) => Number(width));
    expect(widths.filter((width) => width <= 360)).toHaveLength(3);
    expect(widths.filter((width) => width > 360)).toHaveLength(3);
  });

  it('writes every word in a colour that contrasts with the page by 4.5 to 1, in light and dark', () => {
    const colors = wordColors(pageOf(learned));
    for (const of of ['body', 'text', '.title', 'figcaption']) {
      for (const theme of ['light', 'dark']) {
        expect(colors, `${of} in ${theme}`).toContainEqual(expect.objectContaining({ of, theme }));
      }
    }
    for (const { theme, of, color, contrast: found } of colors) {
      expect(found, `${color} of ${of} in ${theme}`).toBeGreaterThanOrEqual(4.5);
    }
  });

  it('draws every line in a colour that contrasts by 3 to 1, in light and dark', () => {
    const lines = [...pageOf(learned).matchAll(/stroke="(#[0-9a-f]{6})"/g)].map(([, color = '']) => color);
    expect(new Set(lines).size).toBe(3);
    for (const color of lines) {
      for (const page of ['#ffffff', '#161616']) expect(contrast(color, page), color).toBeGreaterThanOrEqual(3);
    }
  });

  it('breaks the line of throughput while the users wait, and explains the break', () => {
    const [, pace = ''] = /Served while learning<\/title>([\s\S]*?)<\/svg>/.exec(pageOf(learned)) ?? [];
    expect(pace.match(/<polyline/g)).toHaveLength(1);
    expect(pace.match(/<circle/g)).toHaveLength(1);
    expect(pageOf(learned)).toMatch(/The line breaks when no request ran, because the users wait/);
  });

  it('reports that nothing was learned, with a reason, and shows no gain', () => {
    const page = pageOf(nothing);
    expect(page).toContain('Nothing was learned');
    expect(page).toContain('Try: ');
    expect(page).not.toContain('last version');
    expect(page).not.toContain('way to the best of 16');
    expect(page).not.toContain('Three posts');
  });

  it('escapes the texts that people and models wrote', () => {
    expect(pageOf(learned)).toContain('post 0 &lt;of&gt; mine');
    expect(pageOf(learned)).not.toContain('<of>');
  });
});

describe('the table of the demo', () => {
  it('shows figures with their standard errors, and the share of the gap that was closed', () => {
    const { header, rows } = resultTable(learned);
    expect(header).toEqual(['', 'first version', 'last version']);
    const named = new Map(rows.map(([name = '', ...values]) => [name, values]));
    expect(named.get('KL to the first, nats')).toEqual(['0', '1.00 ± 0.10']);
    expect(named.get('share of the way to the best of 16')).toEqual(['', '70 ± 1 %']);
    for (const [name, values] of named) expect(values.join(' '), name).toContain('±');
  });

  it('has one column and no gain if the first version still serves', () => {
    const { header, rows } = resultTable(nothing);
    expect(header).toEqual(['', 'first version']);
    expect(rows.map(([name]) => name)).toEqual(['reward', 'length in tokens', 'best of 4', 'best of 16']);
  });
});
