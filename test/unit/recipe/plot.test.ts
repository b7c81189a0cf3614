import { describe, expect, it } from 'vitest';
import { plot } from '../../../models/recipe/plot.js';

const line = (points: readonly (readonly [number, number | null])[], more = {}) => ({
  label: 'a < b',
  color: '#123456',
  points,
  ...more,
});
const draw = (series: ReturnType<typeof line>[], more = {}): string =>
  plot({ title: 'reward', xLabel: 'beta', series, width: 640, height: 280, ...more });
/** Returns the coordinates of an element's points. */
const pointsOf = (svg: string, tag: string): number[][] =>
  (new RegExp(`<${tag}[^>]* points="([^"]*)"`).exec(svg)?.[1] ?? '')
    .split(' ')
    .map((pair) => pair.split(',').map(Number));
const ticksOf = (svg: string, anchor: 'middle' | 'end'): string[] =>
  [...svg.matchAll(new RegExp(`class="tick" text-anchor="${anchor}"[^>]*>([^<]*)<`, 'g'))].map(
    ([, text]) => text ?? '',
  );

describe('a plot', () => {
  it('fills its frame from the smallest to the largest value', () => {
    const svg = draw([
      line([
        [0, 0],
        [5, 5],
        [10, 10],
      ]),
    ]);
    expect(pointsOf(svg, 'polyline')).toEqual([
      [52, 240],
      [338, 137],
      [624, 34],
    ]);
    expect(ticksOf(svg, 'end')).toEqual(['0', '2', '4', '6', '8', '10']);
  });

  it('shows equal factors as equal distances on a log scale, with ticks at powers of ten', () => {
    const svg = draw(
      [
        line([
          [0.01, 1e-6],
          [0.1, 1e-3],
          [1, 1],
        ]),
      ],
      { xScale: 'log', yScale: 'log' },
    );
    expect(pointsOf(svg, 'polyline')).toEqual([
      [52, 240],
      [338, 137],
      [624, 34],
    ]);
    expect(ticksOf(svg, 'end')).toEqual(['0.000001', '0.00001', '0.0001', '0.001', '0.01', '0.1', '1']);
    expect(ticksOf(svg, 'middle')).toEqual(['0.01', '0.03', '0.1', '0.3', '1', 'beta']);
  });

  it('leaves out values that a log scale cannot show', () => {
    const svg = draw(
      [
        line([
          [0, 0],
          [1, 1],
          [2, 100],
          [3, Number.NaN],
        ]),
      ],
      { yScale: 'log' },
    );
    expect(pointsOf(svg, 'polyline')).toEqual([
      [52, 240],
      [624, 34],
    ]);
  });

  it('draws a band of errors around a line, within the frame', () => {
    const svg = draw([
      line(
        [
          [0, 1],
          [1, 1],
        ],
        { errors: [1, 0.5] },
      ),
    ]);
    expect(pointsOf(svg, 'polygon')).toEqual([
      [52, 34],
      [624, 85.5],
      [624, 188.5],
      [52, 240],
    ]);
  });

  it('draws error bars for points without a line, and for a series that asks for them', () => {
    for (const more of [{ bars: true }, { scatter: true }]) {
      const svg = draw([
        line(
          [
            [0, 1],
            [1, 3],
          ],
          { errors: [1, 1], ...more },
        ),
      ]);
      expect(svg.match(/class="error"/g)).toHaveLength(2);
      expect(svg).toMatch(/class="error"[^>]* x1="52" x2="52" y1="240" y2="137"/);
      expect(svg).not.toContain('<polygon');
      expect(svg.includes('<polyline')).toBe('bars' in more);
    }
  });

  it('has room for all labels above its frame', () => {
    const series = [1, 2, 3, 4].map((n) =>
      line([
        [0, 0],
        [1, n],
      ]),
    );
    expect(pointsOf(draw(series.reverse()), 'polyline').at(-1)).toEqual([624, 68]);
    expect(draw(series)).toContain('y="60">');
  });

  it('has all words outside its frame, so that no line crosses them', () => {
    const marks = [1, 2, 3].map((y) => ({ label: `mark ${y}`, y }));
    for (const title of ['reward', 'A title so long that it would run into the first label of all, far to its right']) {
      for (const width of [640, 340]) {
        const svg = draw(
          [
            line([
              [0, 0.5],
              [1, 3.5],
            ]),
          ],
          { marks, width, title },
        );
        const [bottom, top] = pointsOf(svg, 'polyline').map(([, y]) => y ?? Number.NaN);
        const words = [...svg.matchAll(/<text[^>]* x="([\d.]+)"[^>]* y="([\d.]+)"[^>]*>([^<]*)</g)];
        const named = words.filter(([, , , text]) => marks.some(({ label }) => label === text));
        expect(named).toHaveLength(3);
        for (const [, x, y, text] of words) {
          const outside = Number(x) < 52 || Number(y) < (top as number) || Number(y) > (bottom as number);
          expect(outside, `${text} at ${x}, ${y} of a frame from ${top} to ${bottom}`).toBe(true);
        }
        const titleEnds = 52 + title.length * 9;
        const beside = words.filter(([, , y]) => y === '18').length > 1;
        expect(beside).toBe(titleEnds < width / 2);
      }
    }
  });

  it('gives each mark its own dashes, in the frame and beside its label', () => {
    const marks = [1, 2, 3].map((y) => ({ label: `mark ${y}`, y }));
    const svg = draw(
      [
        line([
          [0, 0],
          [1, 4],
        ]),
      ],
      { marks },
    );
    const dashes = [...svg.matchAll(/class="mark" stroke-dasharray="([^"]+)"/g)].map(([, pattern]) => pattern);
    expect(dashes).toHaveLength(6);
    expect(new Set(dashes).size).toBe(3);
    expect(dashes.slice(0, 3)).toEqual(dashes.slice(3));
  });

  it('breaks a line and its band at a missing value, and shows a single point between two breaks', () => {
    const points = [
      [0, 1],
      [1, 2],
      [2, null],
      [3, 1],
      [4, null],
      [5, 2],
      [6, 1],
    ] as const;
    const svg = draw([line(points, { errors: points.map(() => 0.1) })]);
    const pieces = [...svg.matchAll(/<polyline[^>]* points="([^"]*)"/g)].map(([, path = '']) => path.split(' ').length);
    expect(pieces).toEqual([2, 2]);
    expect(svg.match(/<polygon/g)).toHaveLength(3);
    expect(svg.match(/<circle/g)).toHaveLength(1);
    expect(draw([line([[0, null]])])).not.toContain('<polyline');
  });

  it('keeps no room for the label of a series without one', () => {
    const nameless = draw([
      line(
        [
          [0, 0],
          [1, 1],
        ],
        { label: '' },
      ),
      line(
        [
          [0, 0],
          [1, 1],
        ],
        { label: '' },
      ),
    ]);
    expect(nameless).not.toContain('class="label"');
    expect(nameless.match(/<line stroke=/g)).toBeNull();
    expect(pointsOf(nameless, 'polyline').at(-1)).toEqual([624, 34]);
  });

  it('escapes its labels', () => {
    expect(draw([line([[0, 1]])])).toContain('a &lt; b');
  });
});
