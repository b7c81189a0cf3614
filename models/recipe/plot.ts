/** A line chart as a piece of SVG: no script, no font, readable in light and dark. */

export interface Series {
  readonly label: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Dots without a line. */
  readonly scatter?: boolean;
}

export interface PlotOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** Horizontal lines to compare with. */
  readonly marks?: readonly { readonly label: string; readonly y: number }[];
  readonly width?: number;
  readonly height?: number;
  /** Range of y; from the data by default. */
  readonly yRange?: readonly [number, number];
}

const margin = { top: 34, right: 16, bottom: 40, left: 52 };

/** The chart as an `<svg>` element. Empty series are left out. */
export function plot(options: PlotOptions): string {
  const { width = 640, height = 280, marks = [] } = options;
  const series = options.series.filter(({ points }) => points.length > 0);
  const xs = series.flatMap(({ points }) => points.map(([x]) => x));
  const ys = [...series.flatMap(({ points }) => points.map(([, y]) => y)), ...marks.map(({ y }) => y)];
  const [xLow, xHigh] = spread(xs);
  const [yLow, yHigh] = options.yRange ?? spread(ys);
  const toX = (x: number): number => margin.left + ((x - xLow) / (xHigh - xLow)) * (width - margin.left - margin.right);
  const toY = (y: number): number =>
    height - margin.bottom - ((y - yLow) / (yHigh - yLow)) * (height - margin.top - margin.bottom);
  const parts = [
    `<text x="${margin.left}" y="18" class="title">${escapeHtml(options.title)}</text>`,
    ...ticks(yLow, yHigh).map(
      (y) =>
        `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${round(toY(y))}" y2="${round(toY(y))}"/>` +
        `<text class="tick" text-anchor="end" x="${margin.left - 6}" y="${round(toY(y) + 4)}">${formatTick(y)}</text>`,
    ),
    ...ticks(xLow, xHigh).map(
      (x) =>
        `<text class="tick" text-anchor="middle" x="${round(toX(x))}" y="${height - margin.bottom + 16}">${formatTick(x)}</text>`,
    ),
    `<text class="tick" text-anchor="middle" x="${width / 2}" y="${height - 6}">${escapeHtml(options.xLabel)}</text>`,
    ...marks.map(
      ({ label, y }) =>
        `<line class="mark" x1="${margin.left}" x2="${width - margin.right}" y1="${round(toY(y))}" y2="${round(toY(y))}"/>` +
        `<text class="tick" text-anchor="end" x="${width - margin.right}" y="${round(toY(y) - 4)}">${escapeHtml(label)}</text>`,
    ),
    ...series.map(({ color, points, scatter }) =>
      scatter
        ? points
            .map(
              ([x, y]) =>
                `<circle cx="${round(toX(x))}" cy="${round(toY(y))}" r="2" fill="${color}" fill-opacity="0.5"/>`,
            )
            .join('')
        : `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map(([x, y]) => `${round(toX(x))},${round(toY(y))}`).join(' ')}"/>`,
    ),
    ...series.map(
      ({ label, color }, i) =>
        `<text class="tick" x="${width - margin.right}" y="${18 + 14 * i}" text-anchor="end" style="fill:${color}">${escapeHtml(label)}</text>`,
    ),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><style>${style}</style>${parts.join('')}</svg>`;
}

const style =
  'text{font:12px system-ui,sans-serif;fill:#888}.title{font-weight:600;font-size:14px;fill:#555}.grid{stroke:#8883}.mark{stroke:#888;stroke-dasharray:4 3}';

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function spread(values: readonly number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** Round numbers inside an interval, four to eight of them. */
function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) ?? raw;
  const values: number[] = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) values.push(value);
  return values;
}

const round = (value: number): number => Math.round(value * 10) / 10;

function formatTick(value: number): string {
  return String(Number(value.toPrecision(4)));
}
