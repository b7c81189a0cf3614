/**
 * Draws a line chart as SVG, without script or font, readable in light and dark mode. All words are outside the frame, so
 * no line crosses them, and their colour contrasts with both backgrounds. A sample of the line beside each label shows
 * the colour of its series.
 */

export interface Series {
  /** Empty if the chart needs no label. */
  readonly label: string;
  readonly color: string;
  /** Points in order of x. A y of null breaks the line. */
  readonly points: readonly (readonly [x: number, y: number | null])[];
  /** Whether to draw dots without a line. */
  readonly scatter?: boolean;
  /** Uncertainty of each y, up and down. Drawn as a band around a line, or as bars for `bars` or dots. */
  readonly errors?: readonly number[];
  /** Whether to mark each point with a dot and an error bar instead of a band, which suits few points. */
  readonly bars?: boolean;
}

export type Scale = 'linear' | 'log';

export interface PlotOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** At most three horizontal lines to compare with. */
  readonly marks?: readonly { readonly label: string; readonly y: number }[];
  readonly width?: number;
  readonly height?: number;
  /** Range of y. Default: the range of the data. */
  readonly yRange?: readonly [number, number];
  /** Default linear. A log scale leaves out points at 0 and below. */
  readonly xScale?: Scale;
  readonly yScale?: Scale;
}

const margin = { right: 16, bottom: 40, left: 52 };
const lineHeight = 14;
/** Size of the sample of a line beside a label. */
const swatch = { width: 20, gap: 6 };

/** A point to draw: y with the ends of its error. */
interface Point {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

/** Returns the chart as an `<svg>` element. Empty series are left out. */
export function plot(options: PlotOptions): string {
  const { width = 640, height = 280, marks = [], xScale = 'linear', yScale = 'linear' } = options;
  const drawable = ({ x, y }: Point): boolean =>
    Number.isFinite(x) && Number.isFinite(y) && (xScale === 'linear' || x > 0) && (yScale === 'linear' || y > 0);
  const series = options.series
    .map((one) => ({ ...one, pieces: piecesOf(one, drawable) }))
    .filter(({ pieces }) => pieces.length > 0);
  const labels = [
    ...series.map(({ label, color, scatter }) => ({ label, sample: sampleOf(color, scatter) })),
    ...marks.map(({ label }, i) => ({ label, sample: across('mark', width - margin.right - swatch.width, i) })),
  ].filter(({ label }) => label !== '');
  const legend = legendOf(options.title, labels, width);
  const all = series.flatMap(({ pieces }) => pieces.flat());
  const ends = [...all.flatMap(({ y, low, high }) => [y, low, high]), ...marks.map(({ y }) => y)];
  const xAxis = axis(xScale, spread(all.map(({ x }) => x)), [margin.left, width - margin.right]);
  const yRange = options.yRange ?? spread(ends.filter((y) => yScale === 'linear' || y > 0));
  const yAxis = axis(yScale, yRange, [height - margin.bottom, legend.bottom]);
  function across(kind: 'grid' | 'mark', from: number, pattern = 0): (y: number) => string {
    const dashes = kind === 'mark' ? ` stroke-dasharray="${dashPatterns[pattern]}"` : '';
    return (y) => `<line class="${kind}"${dashes} x1="${from}" x2="${width - margin.right}" y1="${y}" y2="${y}"/>`;
  }
  function sampleOf(color: string, scatter = false): (y: number) => string {
    const end = width - margin.right;
    return (y) =>
      scatter
        ? `<circle cx="${end - swatch.width / 2}" cy="${y}" r="3" fill="${color}"/>`
        : `<line stroke="${color}" stroke-width="2" x1="${end - swatch.width}" x2="${end}" y1="${y}" y2="${y}"/>`;
  }
  const parts = [
    `<text x="${margin.left}" y="18" class="title">${escapeHtml(options.title)}</text>`,
    ...yAxis.ticks.map(
      (y) =>
        across('grid', margin.left)(yAxis.at(y)) +
        `<text class="tick" text-anchor="end" x="${margin.left - 6}" y="${round(yAxis.at(y) + 4)}">${formatTick(y)}</text>`,
    ),
    ...xAxis.ticks.map(
      (x) =>
        `<text class="tick" text-anchor="middle" x="${xAxis.at(x)}" y="${height - margin.bottom + 16}">${formatTick(x)}</text>`,
    ),
    `<text class="tick" text-anchor="middle" x="${width / 2}" y="${height - 6}">${escapeHtml(options.xLabel)}</text>`,
    ...marks.map(({ y }, i) => across('mark', margin.left, i)(yAxis.at(y))),
    ...series.map((one) => drawSeries(one, xAxis, yAxis)),
    legend.svg,
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>${escapeHtml(options.title)}</title><style>${plotStyle}</style>${parts.join('')}</svg>`;
}

/** The labels with a function each that draws the sample beside the label, at a height. */
interface Label {
  readonly label: string;
  readonly sample: (y: number) => string;
}

/** Places the labels below one another, at the right above the frame; below the title if the first would touch it. */
function legendOf(title: string, labels: readonly Label[], width: number): { svg: string; bottom: number } {
  const right = width - margin.right - swatch.width - swatch.gap;
  const meets =
    margin.left + widthOf(title, titleSize) + 2 * swatch.gap > right - widthOf(labels[0]?.label ?? '', textSize);
  const first = 18 + (meets && labels.length > 0 ? titleSize + 2 : 0);
  const rows = labels.map(({ label, sample }, i) => {
    const y = first + lineHeight * i;
    return `<text class="label" text-anchor="end" x="${right}" y="${y}">${escapeHtml(label)}</text>${sample(y - 4)}`;
  });
  return { svg: rows.join(''), bottom: Math.max(34, first + lineHeight * (labels.length - 1) + 8) };
}

/** Estimates the width of a text, because the font is only known when the chart is shown. */
function widthOf(text: string, size: number): number {
  return text.length * size * 0.58;
}

/** Splits points into runs that one line connects. Leaves out points that cannot be drawn. */
function piecesOf({ points, errors }: Series, drawable: (point: Point) => boolean): Point[][] {
  const pieces: Point[][] = [[]];
  for (const [i, [x, y]] of points.entries()) {
    if (y === null) pieces.push([]);
    else {
      const error = errors?.[i] ?? 0;
      const point = { x, y, low: y - error, high: y + error };
      if (drawable(point)) pieces.at(-1)?.push(point);
    }
  }
  return pieces.filter(({ length }) => length > 0);
}

type Drawn = Series & { readonly pieces: readonly (readonly Point[])[] };

function drawSeries({ pieces, ...series }: Drawn, xAxis: Axis, yAxis: Axis): string {
  return pieces.map((points) => drawPiece(points, series, xAxis, yAxis)).join('');
}

function drawPiece(
  points: readonly Point[],
  { color, scatter, errors, bars }: Omit<Series, 'points'>,
  xAxis: Axis,
  yAxis: Axis,
): string {
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
  // A line needs two points.
  const drawn = scatter ? dots(2, 0.5) : bars ? line + dots(3, 1) : points.length === 1 ? dots(1.5, 1) : line;
  return around + drawn;

  function band(): string {
    const upper = points.map(({ x, high }) => [x, high] as const);
    const lower = points.map(({ x, low }) => [x, low] as const).reverse();
    return `<polygon class="band" fill="${color}" fill-opacity="0.2" points="${path([...upper, ...lower])}"/>`;
  }
}

const titleSize = 14;
const textSize = 12;
const dashPatterns = ['4 3', '1 3', '9 3 2 3'] as const;

/** Colours of words and lines. Words have a contrast of at least 4.5 to 1 on a light and on a dark page. */
const plotStyle = [
  `text{font:${textSize}px system-ui,sans-serif;fill:#595959}`,
  `.title{font-weight:600;font-size:${titleSize}px;fill:#333}`,
  '.grid{stroke:#8883}.mark{stroke:#767676}',
  '@media(prefers-color-scheme:dark){text{fill:#b4b4b4}.title{fill:#ddd}.mark{stroke:#999}}',
].join('');

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
  /** Returns pixels, rounded to a tenth. A value outside the range is drawn at the nearer end. */
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

/** Returns four to eight round numbers inside an interval. */
function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) ?? raw;
  const values: number[] = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) values.push(value);
  return values;
}

/** Returns powers of ten inside an interval; if they are few, also their triples. */
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
