/** The colours of the methods in all plots; no two differ by red and green only. */

import type { Method } from './methods.js';

export const methodColors: Readonly<Record<Method, string>> = {
  copg: '#2a78d6',
  ipo: '#b5532a',
  dpo: '#7a5bc0',
  pg: '#8a8a8a',
  pg_value: '#2b9c86',
};
