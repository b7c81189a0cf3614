/** Computes the contrast of a page's words in its light and its dark theme from its style sheets (WCAG 2, 1.4.3). */

type Theme = 'light' | 'dark';

/** A colour of words, with its origin and its contrast to the page. */
interface WordColor {
  readonly theme: Theme;
  /** The selector, or the element that sets its colour. */
  readonly of: string;
  readonly color: string;
  readonly contrast: number;
}

/**
 * Returns each colour in which a page writes words, in both themes: `color` and `fill` of its rules and of its `text`
 * elements. The page must set the colours of its `body`, and each colour must be hexadecimal.
 */
export function wordColors(html: string): WordColor[] {
  const css = [...html.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, text = '']) => text).join('\n');
  const dark = [...css.matchAll(/@media ?\(prefers-color-scheme: ?dark\) ?\{((?:[^{}]*\{[^{}]*\})*)\}/g)];
  const light = dark.reduce((rest, [whole]) => rest.replace(whole, ''), css);
  const rules = new Map<Theme, Map<string, Map<string, string>>>([
    ['light', rulesOf(light)],
    ['dark', rulesOf([light, ...dark.map(([, inside = '']) => inside)].join('\n'))],
  ]);
  const own = [...html.matchAll(/<text[^>]*(?:fill[=:] ?"?|color: ?)(#[0-9a-fA-F]+)[^>]*>/g)];
  return [...rules].flatMap(([theme, selectors]) => {
    const page = selectors.get('body')?.get('background');
    if (page === undefined) throw new Error('the page does not set its background');
    const inRules = [...selectors].flatMap(([of, properties]) =>
      ['color', 'fill'].flatMap((name) => {
        const color = properties.get(name);
        return color === undefined ? [] : [{ of, color }];
      }),
    );
    const inElements = own.map(([of, color = '']) => ({ of, color }));
    return [...inRules, ...inElements].map((one) => ({ theme, ...one, contrast: contrast(one.color, page) }));
  });
}

/** Returns the properties by selector. Later ones win. */
function rulesOf(css: string): Map<string, Map<string, string>> {
  const rules = new Map<string, Map<string, string>>();
  for (const [, selectors = '', body = ''] of css.matchAll(/([^{}]+)\{([^{}]*)\}/g)) {
    for (const selector of selectors.split(',').map((one) => one.trim())) {
      const properties = rules.get(selector) ?? new Map<string, string>();
      for (const [, name = '', value = ''] of body.matchAll(/([\w-]+)\s*:\s*([^;]+)/g))
        properties.set(name, value.trim());
      rules.set(selector, properties);
    }
  }
  return rules;
}

/** Returns the contrast of two colours, from 1 to 21. */
export function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(color: string): number {
  const [, short, long] = /^#(?:([0-9a-f]{3})|([0-9a-f]{6}))$/i.exec(color) ?? [];
  const digits = long ?? [...(short ?? '')].map((digit) => digit + digit).join('');
  if (digits === '') throw new Error(`not a hexadecimal colour without transparency: ${color}`);
  const channels = [0, 2, 4].map((i) => Number.parseInt(digits.slice(i, i + 2), 16) / 255);
  const [red = 0, green = 0, blue = 0] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
