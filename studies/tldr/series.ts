/** How methods look in plots: the same everywhere, told apart without red and green. */

import type { Method } from './methods.js';

export const methodColors: Readonly<Record<Method, string>> = {
  copg: '#2a78d6',
  ipo: '#b5532a',
  dpo: '#7a5bc0',
  pg: '#8a8a8a',
  pg_value: '#2b9c86',
};
