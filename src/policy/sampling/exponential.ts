/**
 * e^x for x <= 0, to the last digits of a double and several times faster than `Math.exp`: a softmax in JavaScript takes
 * one per token of the vocabulary, and would take as long as a tenth of a decode step.
 *
 * e^x = 2^-n * 2^-(i / 2048) * e^r with whole n and i, both powers from tables, and r so small that three terms do.
 */

const stepBits = 11;
const steps = 1 << stepBits;
const stepWidth = Math.LN2 / steps;
/** e^x is 0 below: past the smallest denormal number. */
const zeroBelow = -745;
const halves = Float64Array.from({ length: Math.ceil(-zeroBelow / Math.LN2) + 1 }, (_, n) => 2 ** -n);
const fractions = Float64Array.from({ length: steps }, (_, i) => 2 ** (-i / steps));

/** @param x at most 0; NaN gives NaN */
export function expBelow0(x: number): number {
  // Of NaN, too, the maximum is NaN.
  if (!(x > zeroBelow)) return Math.max(0, x);
  const position = x * -(1 / stepWidth);
  const whole = position | 0;
  const r = (whole - position) * stepWidth;
  const power = (halves[whole >> stepBits] as number) * (fractions[whole & (steps - 1)] as number);
  return power * (1 + r * (1 + r * (0.5 + r * (1 / 6))));
}
