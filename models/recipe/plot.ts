/** A line chart as a piece of SVG: no script, no font, readable in light and dark. */

export interface Series {
  readonly label: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Dots without a line. */
  readonly scatter?: boolean;
  /** Per point: how far up and down y is uncertain; a band around a line, bars where `bars` is set or there is no line. */
  readonly errors?: readonly number[];
  /** Points marked by dots with bars of error in place of a band: for few points. */
  readonly bars?: boolean;
}

export type Scale = 'linear' | 'log';

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
  /** Points that a log scale cannot show (0 and below) are left out. Default linear. */
  readonly xScale?: Scale;
  readonly yScale?: Scale;
}

const margin = { right: 16, bottom: 40, left: 52 };
const lineHeight = 14;

/** A point that can be drawn: y with the ends of its error. */
interface Point {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

/** The chart as an `<svg>` element. Empty series are left out. */
export function plot(options: PlotOptions): string {
  const { width = 640, height = 280, marks = [], xScale = 'linear', yScale = 'linear' } = options;
  const drawable = ({ x, y }: Point): boolean =>
    Number.isFinite(x) && Number.isFinite(y) && (xScale === 'linear' || x > 0) && (yScale === 'linear' || y > 0);
  const series = options.series
    .map((one) => ({ ...one, points: withErrors(one).filter(drawable) }))
    .filter(({ points }) => points.length > 0);
  // The labels stand one below the other above the frame.
  const top = 34 + lineHeight * Math.max(0, series.length - 2);
  const all = series.flatMap(({ points }) => points);
  const ends = [...all.flatMap(({ y, low, high }) => [y, low, high]), ...marks.map(({ y }) => y)];
  const xAxis = axis(xScale, spread(all.map(({ x }) => x)), [margin.left, width - margin.right]);
  const yRange = options.yRange ?? spread(ends.filter((y) => yScale === 'linear' || y > 0));
  const yAxis = axis(yScale, yRange, [height - margin.bottom, top]);
  const across = (y: number, kind: string): string =>
    `<line class="${kind}" x1="${margin.left}" x2="${width - margin.right}" y1="${yAxis.at(y)}" y2="${yAxis.at(y)}"/>`;
  const parts = [
    `<text x="${margin.left}" y="18" class="title">${escapeHtml(options.title)}</text>`,
    ...yAxis.ticks.map(
      (y) =>
        across(y, 'grid') +
        `<text class="tick" text-anchor="end" x="${margin.left - 6}" y="${round(yAxis.at(y) + 4)}">${formatTick(y)}</text>`,
    ),
    ...xAxis.ticks.map(
      (x) =>
        `<text class="tick" text-anchor="middle" x="${xAxis.at(x)}" y="${height - margin.bottom + 16}">${formatTick(x)}</text>`,
    ),
    `<text class="tick" text-anchor="middle" x="${width / 2}" y="${height - 6}">${escapeHtml(options.xLabel)}</text>`,
    ...marks.map(
      ({ label, y }) =>
        across(y, 'mark') +
        `<text class="tick" text-anchor="end" x="${width - margin.right}" y="${round(yAxis.at(y) - 4)}">${escapeHtml(label)}</text>`,
    ),
    ...series.map((one) => drawSeries(one, xAxis, yAxis)),
    ...series.map(
      ({ label, color }, i) =>
        `<text class="tick" x="${width - margin.right}" y="${18 + lineHeight * i}" text-anchor="end" style="fill:${color}">${escapeHtml(label)}</text>`,
    ),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>${escapeHtml(options.title)}</title><style>${style}</style>${parts.join('')}</svg>`;
}

function withErrors({ points, errors }: Series): Point[] {
  return points.map(([x, y], i) => ({ x, y, low: y - (errors?.[i] ?? 0), high: y + (errors?.[i] ?? 0) }));
}

type Drawn = Omit<Series, 'points'> & { readonly points: readonly Point[] };

function drawSeries({ color, points, scatter, errors, bars }: Drawn, xAxis: Axis, yAxis: Axis): string {
  const path = (ys: readonly (readonly [number, number])[]): string =>
    ys.map(([x, y]) => `${xAxis.at(x)},${yAxis.at(y)}`).join(' ');
  const line = `<polyline fill="none" stroke="${color}" stroke-width="2" points="${path(points.map(({ x, y }) => [x, y]))}"/>`;
  const dots = (radius: number, opacity: number): string =>
    points
      .map(
        ({ x, y }) =>
          `<circle cx="${xAxis.at(x)}" cy="${yAxis.at(y)}" r="${radius}" fill="${color}" fill-opacity="${opacity}"/>`,
      )
      .join('');
  const whiskers = (): string =>
    points
      .map(
        ({ x, low, high }) =>
          `<line class="error" stroke="${color}" x1="${xAxis.at(x)}" x2="${xAxis.at(x)}" y1="${yAxis.at(low)}" y2="${yAxis.at(high)}"/>`,
      )
      .join('');
  const around = errors === undefined ? '' : scatter || bars ? whiskers() : band();
  return around + (scatter ? dots(2, 0.5) : bars ? line + dots(3, 1) : line);

  function band(): string {
    const upper = points.map(({ x, high }) => [x, high] as const);
    const lower = points.map(({ x, low }) => [x, low] as const).reverse();
    return `<polygon class="band" fill="${color}" fill-opacity="0.2" points="${path([...upper, ...lower])}"/>`;
  }
}

const style =
  'text{font:12px system-ui,sans-serif;fill:#888}.title{font-weight:600;font-size:14px;fill:#555}.grid{stroke:#8883}.mark{stroke:#888;stroke-dasharray:4 3}';

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function spread(values: readonly number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0.5, 1.5];
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const half = Math.abs(low) / 2 || 0.5;
  return low === high ? [low - half, high + half] : [low, high];
}

interface Axis {
  /** Pixels, rounded to a tenth; a value outside is drawn at the nearer end. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

function axis(scale: Scale, [low, high]: readonly [number, number], [from, to]: readonly [number, number]): Axis {
  const measure = scale === 'log' ? (value: number): number => Math.log10(Math.max(value, low)) : Number;
  const [start, end] = [measure(low), measure(high)];
  return {
    at: (value) => round(from + Math.min(1, Math.max(0, (measure(value) - start) / (end - start))) * (to - from)),
    ticks: scale === 'log' ? logTicks(low, high) : ticks(low, high),
  };
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

/** Powers of ten, every so many; between few of them their triples. */
function logTicks(low: number, high: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.ceil((last - first) / 7);
  const values: number[] = [];
  for (let power = first; power <= last; power += every) {
    values.push(10 ** power);
    if (last - first <= 3) values.push(3 * 10 ** power);
  }
  return values.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

const round = (value: number): number => Math.round(value * 10) / 10;

function formatTick(value: number): string {
  return String(Number(value.toPrecision(4)));
}
