/**
 * Shapes of token values. Each dimension is a product of numbers and of the two sizes that are only known at run time:
 * B (rows) and S (tokens of a row).
 *
 * A product keeps the order of its factors, outermost first, because the order shows which elements belong to which
 * token: [B, S, 64] can be reshaped to [B, S*4, 16] and back.
 */

/**
 * The factors of a dimension. Adjacent numbers are multiplied and 1 is left out (`[]` is 1), so equal sizes compare
 * equal.
 */
export type Dim = readonly (number | 'B' | 'S')[];

/**
 * An entry of a target shape: a number as in Reshape (0 copies the dimension, -1 takes the rest), or an input's size.
 */
export type Target = number | Dim;

export const dimOf = (size: number): Dim => (size === 1 ? [] : [size]);

/** Returns the number, or undefined if the dimension depends on B or S. */
export function sizeOf(dim: Dim | undefined): number | undefined {
  if (dim === undefined || hasTokens(dim)) return undefined;
  return (dim as readonly number[]).reduce((product, factor) => product * factor, 1);
}

/** Whether elements along this dimension belong to different tokens. */
export function hasTokens(dim: Dim): boolean {
  return dim.some((factor) => typeof factor !== 'number');
}

export function sameDim(a: Dim, b: Dim): boolean {
  return a.length === b.length && a.every((factor, i) => factor === b[i]);
}

export function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => sameDim(dim, b[axis] as Dim));
}

export function inBrackets(dims: readonly Dim[]): string {
  return `[${dims.map((dim) => (dim.length === 0 ? '1' : dim.join('*'))).join(', ')}]`;
}

/**
 * Returns the shape of two values broadcast against each other. Undefined if they do not fit, or if elements of one
 * token would meet those of another: a token dimension may only meet itself or the 1 of a constant.
 * @param constant whether the second value is the same for every token
 */
export function broadcast(a: readonly Dim[], b: readonly Dim[], constant: boolean): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? [];
    const y = b[axis - rank + b.length] ?? [];
    if (sameDim(x, y)) result.push(x);
    else if (y.length === 0 && (constant || !hasTokens(x))) result.push(x);
    else if (x.length === 0 && !hasTokens(y)) result.push(y);
    else return undefined;
  }
  return result;
}

/** Returns the shape after a Reshape. Undefined if it would cut a token dimension or does not fit. */
export function regroup(dims: readonly Dim[], targets: readonly Target[]): Dim[] | undefined {
  const factors = dims.flat();
  const wanted = targets.map((target, axis): Dim | 'rest' | undefined => {
    if (typeof target !== 'number') return target;
    if (target === 0) return dims[axis];
    return target === -1 ? 'rest' : dimOf(target);
  });
  const rest = wanted.indexOf('rest');
  const before = rest < 0 ? wanted : wanted.slice(0, rest);
  const after = rest < 0 ? [] : wanted.slice(rest + 1);
  for (const dim of before) if (!consume(factors, dim, 'first')) return undefined;
  for (const dim of after.reverse()) if (!consume(factors, dim, 'last')) return undefined;
  if (rest < 0 && factors.length > 0) return undefined;
  return wanted.map((dim) => (dim === 'rest' ? normal(factors) : (dim as Dim)));
}

/** Removes the factors of one dimension from one end of a list. Returns false if they are not there. */
function consume(factors: (number | 'B' | 'S')[], dim: Dim | 'rest' | undefined, end: 'first' | 'last'): boolean {
  if (dim === undefined || dim === 'rest') return false;
  for (const wanted of end === 'first' ? dim : [...dim].reverse()) {
    if (typeof wanted === 'number' ? !consumeNumber(factors, wanted, end) : take(factors, end) !== wanted) return false;
  }
  return true;
}

function consumeNumber(factors: (number | 'B' | 'S')[], size: number, end: 'first' | 'last'): boolean {
  let left = size;
  while (left > 1) {
    const factor = take(factors, end);
    if (typeof factor !== 'number') return false;
    if (left % factor === 0) {
      left /= factor;
    } else if (factor % left === 0) {
      if (end === 'first') factors.unshift(factor / left);
      else factors.push(factor / left);
      left = 1;
    } else {
      return false;
    }
  }
  return true;
}

const take = (factors: (number | 'B' | 'S')[], end: 'first' | 'last'): number | 'B' | 'S' | undefined =>
  end === 'first' ? factors.shift() : factors.pop();

/** Joins the factors of several dimensions into one dimension. */
export function normal(factors: Dim): Dim {
  const result: (number | 'B' | 'S')[] = [];
  for (const factor of factors) {
    const last = result.at(-1);
    if (typeof factor === 'number' && typeof last === 'number') result[result.length - 1] = last * factor;
    else if (factor !== 1) result.push(factor);
  }
  return result;
}
